"""The demonstration: the whole road once, on real parts, on this machine."""

import contextlib
import json
import shutil
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from churn.kafka_config import client_config
from churn.scores import Score, decode
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES, LABELS, SCORES, Topic
from compose.environment import read_settings
from compose.learned import learned, sentence
from compose.local import ROOT, LocalStack, bound_socket
from compose.processes import ChildSpec, wait_until
from compose.progress import Progress
from compose.topic_admin import ensure_topics, partitions_of
from compose.waiting import wait_done

API_PORT = 8000
PATIENCE_SECONDS = 900.0
SERVICES = ("features", "archive", "scorer", "learner", "api")
KEEPER = "keeper"
"""Started when there is a model to look after: what it reads of the history takes it seconds then, while others work on."""

READS: dict[str, Topic] = {"scorer": FEATURES, "learner": LABELS}
"""What a worker reads that does not read the events themselves."""


@dataclass(frozen=True)
class Plan:
    """How large the demonstration is and how it ends."""

    users: int
    days: int
    seed: int
    rate: float
    leave: bool
    watch_seconds: float


class Demo:
    """A stack and the steps that fill it."""

    def __init__(self, stack: LocalStack, settings: Settings) -> None:
        self.stack, self.settings = stack, settings
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print what happens next, with the seconds since the start."""
        click.echo(f"[{time.monotonic() - self._began:5.0f} s] {text}")

    def prepare(self, services: Sequence[str] = SERVICES) -> None:
        """Create topics and Feast's registry, start the services."""
        from compose.seeding import apply_feast

        ensure_topics(self.settings)
        for name in services:
            self.stack.start_service(name, wait=False)
        self.say(apply_feast(self.settings))
        for name in ("features", "archive"):
            self.stack.wait_ready(name)
        self.say(f"Kafka, Redis and {', '.join(services)} are up")

    def wait_streamed(self, workers: Sequence[str] = ("features", "archive")) -> None:
        """Wait until the workers have dealt with everything published."""
        for worker in workers:
            topic = READS.get(worker, ACTIVITY)
            records = wait_done(
                self.settings, worker, topic, PATIENCE_SECONDS, self.stack.check, _shown_by(Progress(worker))
            )
            self.say(f"{worker}: {records:,} records dealt with")

    def wait_scored(self) -> None:
        """Wait until the model serves in scorer and API and every vector has its score."""
        for name in ("scorer", "api"):
            self.stack.wait_ready(name)
        self.wait_streamed(("scorer",))

    def wait_learned(self) -> dict[str, Any]:
        """Wait until every matured label was learned and the champion judged on the last of them; returns the figures."""
        self.stack.wait_ready("learner")
        self.wait_streamed(("learner",))
        address = self.stack.url("learner")
        wait_until(
            lambda: "champion" in learned(address)["log_loss"], PATIENCE_SECONDS, "the learner has judged the champion"
        )
        figures = learned(address)
        self.say(sentence(figures))
        return figures

    def wait_kept(self, midnight: datetime) -> None:
        """Wait until the keeper has taken in the history up to a midnight; says what it knows."""
        from compose.kept import wait_kept

        self.stack.wait_ready(KEEPER)
        self.say(wait_kept(self.settings, midnight, PATIENCE_SECONDS, self.stack.check))


@contextmanager
def stack_of(folder: Path, declaration: str, extra: dict[str, str]) -> Iterator[Demo]:
    """Start Kafka and Redis in a fresh folder; everything ends with the block."""
    shutil.rmtree(folder, ignore_errors=True)
    ports = {"CHURN_API_PORT": str(API_PORT)} if _free(API_PORT) else {}
    variables = {"CHURN_DECLARATION": declaration, "CHURN_ARCHIVE_FLUSH_SECONDS": "5", **ports, **extra}
    with LocalStack(folder, variables) as stack:
        environment = {k: v for k, v in stack.environment().items() if k.startswith("CHURN_")}
        yield Demo(stack, read_settings(environment))


def _free(port: int) -> bool:
    held = bound_socket(port)
    if held is not None:
        held.close()
    return held is not None


def run(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run the synthetic demonstration; returns its figures."""
    from compose.produce_commands import business_of, publisher
    from producers.synthetic.history import publish_history

    with stack_of(folder, "feature_repo/declarations/elearning.yaml", {}) as demo:
        demo.prepare()
        now = datetime.now(UTC).replace(microsecond=0)
        options = {"users": plan.users, "days": plan.days, "seed": plan.seed, "drift": ()}
        business = business_of(options | dict.fromkeys(("duplicates", "disordered", "late", "broken"), 0.0), now)
        with publisher(demo.settings) as sink:
            done = publish_history(business, sink, demo.settings.data_dir / "truth", now, Progress("history").days)
        demo.say(f"{plan.users:,} users, {plan.days} days: {done.events:,} events in Kafka")
        demo.wait_streamed()
        report = train(demo)
        demo.wait_scored()
        learning = demo.wait_learned()
        demo.wait_kept(now.replace(hour=0, minute=0, second=0))
        bootstrap_seconds = time.monotonic() - demo._began
        live = ("--no-history", "--live", "--rate", f"{plan.rate:g}", "--since", f"{now:%Y-%m-%dT%H:%M:%S}")
        start_producer(
            demo, ("produce", "--users", str(plan.users), "--days", str(plan.days), "--seed", str(plan.seed), *live)
        )
        demo.say(f"bootstrap took {bootstrap_seconds:.0f} s; live events are flowing")
        return finish(
            demo, plan, {"bootstrap_seconds": round(bootstrap_seconds, 1), "training": report, "learning": learning}
        )


def train(demo: Demo) -> Any:
    """Train on the archive, promote what passes the gate, have it looked after, score everyone into files; returns the report."""
    figures = demo.stack.folder / "training.json"
    click.echo(demo.stack.run("train", "--json", str(figures)))
    demo.stack.start_service(KEEPER, wait=False)
    demo.say(demo.stack.run("score", "--as-of", "today").strip())
    return json.loads(figures.read_text())


def start_producer(demo: Demo, command: tuple[str, ...]) -> None:
    """Start a live producer beside the stack."""
    import sys

    argv = (sys.executable, "-m", "compose", *command)
    demo.stack.supervisor.start(
        ChildSpec("producer", argv, demo.stack.log_path("producer"), demo.stack.environment(), cwd=ROOT)
    )


def finish(demo: Demo, plan: Plan, figures: dict[str, Any]) -> dict[str, Any]:
    """Show how to look for oneself, then end with a summary or stay until Ctrl-C."""
    scores = watch_scores(demo, plan.watch_seconds)
    invite(demo, scores[-1].user_id if scores else "u0000001")
    figures |= {"live": summary(demo, scores, plan.watch_seconds)}
    click.echo(json.dumps(figures["live"], indent=2))
    if plan.leave:
        demo.say("the demonstration ends, and all its processes with it")
        return figures
    click.echo("Ctrl-C ends everything.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            demo.stack.check()
            time.sleep(1.0)
    demo.say("the demonstration ends, and all its processes with it")
    return figures


def invite(demo: Demo, user: str) -> None:
    """Print addresses and commands to try; each works as printed while the stack runs."""
    churn = "CHURN_KAFKA_BOOTSTRAP_SERVERS={kafka} CHURN_REDIS_URL={redis} CHURN_DATA_DIR={data} {churn}".format(
        kafka=demo.settings.kafka_bootstrap_servers,
        redis=demo.settings.redis_url.get_secret_value(),
        data=demo.settings.data_dir,
        churn=ROOT / ".venv" / "bin" / "churn",
    )
    if str(demo.settings.declaration) != str(Settings.model_fields["declaration"].default):
        churn = f"CHURN_DECLARATION={demo.settings.declaration} {churn}"
    api = demo.stack.url("api")
    click.echo(
        f"\nLook for yourself:\n"
        f"  page       {api}/\n"
        f"  HTTP       curl -s {api}/users/{user}\n"
        f"  Kafka      {churn} tail scores --count 3\n"
        f"  Feast      {churn} lookup {user}\n"
        f"  files      {demo.settings.predictions_dir}\n"
        f"  logs       {demo.stack.folder / 'logs'}\n"
    )


def watch_scores(demo: Demo, seconds: float) -> list[Score]:
    """Return the scores that arrive on the topic during so many seconds."""
    consumer = Consumer(
        {**client_config(demo.settings), "group.id": "demo", "enable.auto.commit": False, "log_level": 2}
    )
    name = SCORES.name(demo.settings.topic_prefix)
    partitions = range(partitions_of(SCORES, demo.settings))
    consumer.assign([TopicPartition(name, p, OFFSET_END) for p in partitions])
    deadline, found = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        messages = consumer.consume(1000, 0.2)
        found += [decode(m.value() or b"") for m in messages if m.error() is None]
    consumer.close()
    return found


def summary(demo: Demo, scores: Sequence[Score], seconds: float) -> dict[str, Any]:
    """Return what was seen: rates, freshness from arrival to score, bands of all users."""
    fresh = sorted((s.emitted_at - s.arrived_at).total_seconds() for s in scores if s.arrived_at)
    with urllib.request.urlopen(f"{demo.stack.url('api')}/live-data", timeout=5) as answer:  # noqa: S310  our own http url
        pulse = json.loads(answer.read())["pulse"]
    return {
        "scores_per_second": round(len(scores) / seconds, 1),
        "scores_by_band": dict(Counter(score.band for score in scores)),
        "arrival_to_score_p50_ms": _ms(statistics.median(fresh)) if fresh else None,
        "arrival_to_score_p99_ms": _ms(fresh[int(len(fresh) * 0.99)]) if fresh else None,
        "events_per_second": pulse["events_per_second"],
        "active_users_by_band": pulse["users_by_band"],
        "riskiest_active_users": [
            f"{user['user_id']} {user['probability']:.0%}: {'; '.join(reason['text'] for reason in user['reasons'])}"
            for user in pulse["riskiest"][:3]
        ],
    }


def _shown_by(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, end: progress.show(f"{done:,} of {end:,} records")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
