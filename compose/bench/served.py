"""A whole system with a history and a promoted model, for everything that is measured on a running system."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import redis

from churn.declaration import Declaration
from churn.kafka_config import client_config
from churn.model import Scorer
from churn.scores import Champion
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES, MODELS
from compose.bench.clock import cpu_seconds
from compose.bench.plan import PATIENT, Bench
from compose.waiting import wait_done
from feature_repo import bundles
from feature_repo.archive import files
from feature_repo.declared import load
from producers.publisher import Publisher

SERVICES = ("features", "scorer", "archive", "api")
VERSION = "1"
STRENGTH = 0.1
MOST_ROWS = 50_000
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Served:
    """A running system; `bytes_before` is what Redis used when it was empty."""

    bench: Bench
    settings: Settings
    declaration: Declaration
    users: list[str]
    scorer: Scorer
    bytes_before: int

    def used_bytes(self) -> int:
        """Return what Redis uses now."""
        return used_bytes(self.bench)

    def cpu_seconds(self) -> dict[str, float]:
        """Return what every process has spent so far; `load` is this one, which publishes and reads."""
        stack = self.bench.stack
        children = {"kafka": stack.kafka.child, "redis": stack.redis.child, **stack.supervisor.children}
        pids = {name: child.pid for name, child in children.items() if child and child.is_running}
        return {name: cpu_seconds(pid) for name, pid in {**pids, "load": os.getpid()}.items()}


def used_bytes(bench: Bench) -> int:
    """Return what Redis uses for everything."""
    with redis.Redis.from_url(bench.stack.redis.url) as client:
        return int(client.info("memory")["used_memory"])


@contextmanager
def served(bench: Bench) -> Iterator[Served]:
    """Stream a synthetic history, fit and announce a model, and wait until everybody has a score."""
    with bench.fresh("bench-served", CHURN_ARCHIVE_FLUSH_SECONDS="1", **PATIENT) as settings:
        declaration, before = load(settings.declaration), used_bytes(bench)
        for name in SERVICES:
            bench.stack.start_service(name, wait=False)
        _publish_history(bench, settings)
        for name in ("features", "archive"):
            bench.stack.wait_ready(name)
            _wait(bench, settings, name)
        bench.say("fitting a model on the archive")
        users, champion = _fit(settings, declaration)
        _announce(settings, champion)
        _wait_scored(bench, settings)
        bench.say(f"{len(users):,} users have features and scores")
        scorer = bundles.load(settings.models_dir, champion, declaration.feature_set_version)
        yield Served(bench, settings, declaration, users, scorer, before)


def _publish_history(bench: Bench, settings: Settings) -> None:
    from producers.synthetic.business import Scenario, SyntheticBusiness
    from producers.synthetic.history import publish_history

    sizes, now = bench.sizes, datetime.now(UTC)
    bench.say(f"publishing a history of {sizes.history_users:,} users over {sizes.history_days} days")
    business = SyntheticBusiness(Scenario.ending(now, users=sizes.history_users, days=sizes.history_days, seed=1))
    with Publisher(client_config(settings), ACTIVITY.name(settings.topic_prefix)) as sink:
        done = publish_history(business, sink, None, now)
    bench.say(f"{done.events:,} events in Kafka")


def _wait(bench: Bench, settings: Settings, worker: str) -> None:
    topic = FEATURES if worker == "scorer" else ACTIVITY
    wait_done(settings, worker, topic, PATIENCE_SECONDS, bench.stack.check, lambda *_: None)


def _wait_scored(bench: Bench, settings: Settings) -> None:
    for name in ("scorer", "api"):
        bench.stack.wait_ready(name)
    _wait(bench, settings, "scorer")


def _fit(settings: Settings, declaration: Declaration) -> tuple[list[str], Champion]:
    """Fit on the last midnight whose labels are known; returns everybody in the archive, and the model."""
    from training.dataset import DataSet
    from training.logistic import export, fit
    from training.train import EXAMPLES, gather

    horizon = declaration.label.horizon_days
    with (
        tempfile.TemporaryDirectory() as scratch,
        DataSet(declaration, files(settings.archive_dir), Path(scratch)) as data,
    ):
        rows = gather(data, [data.counts.last_day - horizon], horizon, MOST_ROWS).rows
        users = list(data.counts.users)
    names, version = declaration.feature_names, declaration.feature_set_version
    facts: dict[str, str | float | int] = {"rows": len(rows)}
    model = export(fit(rows, STRENGTH), settings.model_name, version, names, rows.matrix[:EXAMPLES], facts)
    bundle, digest = bundles.save(settings.models_dir, model, VERSION)
    return users, Champion(settings.model_name, VERSION, bundle, digest, version, datetime.now(UTC), "measured")


def _announce(settings: Settings, champion: Champion) -> None:
    from training.announce import announce

    announce(client_config(settings), MODELS.name(settings.topic_prefix), champion)
