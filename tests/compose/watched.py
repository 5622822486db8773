"""The whole system under a small load, watched by a real Prometheus with the project's own configuration."""

import json
import math
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from churn.events import Event, encode
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY, MODELS
from compose.environment import read_settings
from compose.local import SERVICES, LocalStack, answers_ok, free_ports
from compose.processes import ChildSpec
from compose.topic_admin import ensure_topics
from producers.publisher import Publisher
from tests.api import building
from tests.compose.queries import PROMETHEUS
from training.announce import announce

SETTINGS = {"CHURN_PARTITIONS": "2", "CHURN_ARCHIVE_FLUSH_SECONDS": "1", "CHURN_AUDIT_SHARE": "1"}
USERS = 60
HISTORY_DAYS = 66
"""Labels of a user seen on day 0 mature from day 31 on; 66 days bring some of both kinds."""
Keyed = tuple[str, bytes]


def event(user: int, at: datetime, name: str = "session_started") -> Keyed:
    """Return one event of a user, keyed."""
    user_id = f"user-{user}"
    return user_id, encode(Event(uuid.uuid4().hex, user_id, name, at, 1))


def history(now: datetime) -> Iterator[Keyed]:
    """Yield two months in which everybody is active every third day, and every fourth user stops after one."""
    for day in range(HISTORY_DAYS):
        at = now - timedelta(days=HISTORY_DAYS - day)
        stays = [user for user in range(USERS) if (user + day) % 3 == 0 and (user % 4 or day < HISTORY_DAYS // 2)]
        yield from (event(user, at) for user in stays)


def moment(now: datetime) -> Iterator[Keyed]:
    """Yield what happens at one time: current, late, expired and repeated events, and something that is no event."""
    yield from (event(user, now) for user in range(USERS))
    yield event(0, now - timedelta(days=1))
    yield event(0, now - timedelta(days=400))
    yield from [event(1, now)] * 2
    yield "user-1", b"not an event"


@dataclass
class Watched:
    """A running stack and the Prometheus that scrapes it."""

    stack: LocalStack
    settings: Settings
    prometheus_url: str

    def publish(self, events: Iterable[Keyed]) -> None:
        """Publish events and wait for their delivery."""
        topic = ACTIVITY.name(self.settings.topic_prefix)
        with Publisher(client_config(self.settings), topic) as publisher:
            publisher.publish_all(events)

    def promote(self) -> None:
        """Make a small model the champion."""
        record = building.champion(self.settings.models_dir, "1")
        announce(client_config(self.settings), MODELS.name(self.settings.topic_prefix), record)

    def visit_api(self) -> None:
        """Ask the API for a user; while it is starting, nobody answers."""
        answers_ok(f"{self.stack.url('api')}/users/user-1")

    def series(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of every series of an expression that has a number now."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return [each["metric"] for each in found if not math.isnan(float(each["value"][1]))]


def configuration(stack: LocalStack) -> str:
    """Return the committed configuration with local addresses, and a second where it has many."""
    document = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    document["rule_files"] = [str(PROMETHEUS / name) for name in document["rule_files"]]
    for job in document["scrape_configs"]:
        (static,) = job["static_configs"]
        static["targets"] = [f"127.0.0.1:{stack.ports[target.split(':')[0]]}" for target in static["targets"]]
    return json.dumps(document)  # JSON is YAML


@contextmanager
def watched(folder: Path, prometheus: Path) -> Iterator[Watched]:
    """Run Kafka, Redis, every service and Prometheus until the block is left."""
    with LocalStack(folder, SETTINGS) as stack:
        settings = read_settings(stack.environment())
        ensure_topics(settings)
        for service in SERVICES:
            stack.start_service(service.name, wait=False)
        url = _start_prometheus(stack, prometheus)
        yield Watched(stack, settings, url)


def _start_prometheus(stack: LocalStack, program: Path) -> str:
    (stack.folder / "prometheus.yml").write_text(configuration(stack))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    argv = (
        str(program), f"--config.file={stack.folder / 'prometheus.yml'}", f"--storage.tsdb.path={stack.folder / 'tsdb'}",
        f"--web.listen-address={address}",
    )  # fmt: skip
    child = stack.supervisor.start(ChildSpec("prometheus", argv, stack.log_path("prometheus"), {}, cwd=stack.folder))
    child.wait_ready(lambda: answers_ok(f"http://{address}/-/ready"), 30)
    return f"http://{address}"
