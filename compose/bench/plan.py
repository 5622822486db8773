"""How large each measurement is, and the stack that they share."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from churn.settings import Settings
from compose.bench.load import Load, Mode
from compose.environment import read_settings
from compose.local import LocalStack
from compose.topic_admin import ensure_topics

DECLARATION = "feature_repo/declarations/elearning.yaml"
PATIENT = {"CHURN_SESSION_TIMEOUT_SECONDS": "120"}
"""For a worker that is frozen while its load is published, and must not be taken for dead meanwhile."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured; counts, seconds, and rates a second."""

    events: int
    users: int
    loads: tuple[Load, ...]
    modes: tuple[Mode, ...]
    stock_events: int
    peer_events: int
    peers: tuple[str, ...]
    scale_users: tuple[int, ...]
    scale_events: int
    state_users: int
    history_users: int
    history_days: int
    freshness_rates: tuple[float, ...]
    freshness_seconds: float
    burst_events: int
    road_events: int
    api_rate: float
    api_seconds: float
    batch_users: int
    learner_labels: int
    dataset_users: int
    dataset_days: int


@dataclass
class Bench:
    """A running Kafka and Redis, and what to measure on them."""

    stack: LocalStack
    sizes: Sizes

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Tell on stderr what happens now."""
        print(f"[{time.monotonic() - self._began:5.0f} s] {text}", file=sys.stderr, flush=True)

    @contextmanager
    def fresh(self, prefix: str, **variables: str) -> Iterator[Settings]:
        """Give topics of their own and an empty Redis to a measurement; its services end with the block."""
        own: Mapping[str, str] = {
            "CHURN_TOPIC_PREFIX": prefix,
            "CHURN_DECLARATION": DECLARATION,
            "CHURN_DATA_DIR": str(self.stack.folder / prefix),
            **variables,
        }
        self.stack.settings = own
        settings = read_settings({k: v for k, v in self.stack.environment().items() if k.startswith("CHURN_")})
        with redis.Redis.from_url(self.stack.redis.url) as client:
            client.flushall()
        ensure_topics(settings)
        try:
            yield settings
        finally:
            self.stack.supervisor.stop_all()
            self.stack.ports.clear()


@contextmanager
def bench_in(folder: Path, sizes: Sizes) -> Iterator[Bench]:
    """Start Kafka and Redis in a fresh folder; everything ends with the block, and its data is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with LocalStack(folder) as stack:
            yield Bench(stack, sizes)
    finally:
        shutil.rmtree(folder / "kafka", ignore_errors=True)
