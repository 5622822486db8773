"""Markers: one user a partition whose last row says that everything before it was dealt with, in every engine alike."""

import time
from collections.abc import Callable

from confluent_kafka import Consumer, Producer, TopicPartition

from churn.events import SCHEMA_VERSION, Event, encode
from churn.kafka_config import client_config
from churn.scores import from_us
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES
from compose.bench.peers.job import FETCH, MARKER
from compose.bench.peers.tiles import Features, row
from compose.processes import StartTimeoutError

DID: tuple[tuple[str, dict[str, float] | None], ...] = (
    ("session_started", None),
    ("lesson_completed", {"minutes": 12.5}),
)
VALUES: Features = [1, 1, 1, 1, 1, 1, 12.5, 12.5, 12.5, 1, 1, 1, 0]
"""What the features of a marker are once all it did was counted: a peer that counts wrongly is never done."""
FLUSH_SECONDS = 30.0


class Markers:
    """Sends markers to the end of every partition and reads the rows of a peer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.rows = 0
        self._missing: set[bytes] = set()
        self._consumer = Consumer({**client_config(settings), "group.id": f"{settings.topic_prefix}-markers", **FETCH})
        target = FEATURES.name(settings.topic_prefix)
        self._consumer.assign([TopicPartition(target, number, 0) for number in range(settings.partitions)])

    def send(self, name: str) -> None:
        """Put one marker at the end of every partition."""
        producer = Producer(client_config(self._settings))
        for partition in range(self._settings.partitions):
            user = f"{MARKER}{name}-{partition}"
            for number, (kind, measures) in enumerate(DID):
                at = from_us(time.time_ns() // 1000)
                event = Event(f"{user}-{number}", user, kind, at, SCHEMA_VERSION, measures)
                producer.produce(ACTIVITY.name(self._settings.topic_prefix), encode(event), user, partition)
            self._missing.add(row(user, VALUES))
        if producer.flush(FLUSH_SECONDS):
            raise StartTimeoutError(f"markers {name}: not delivered after {FLUSH_SECONDS:g} s")

    def wait(self, rows: int, timeout_seconds: float, meanwhile: Callable[[], None]) -> None:
        """Return when every marker's row was read, and at least so many rows in all.

        Raises:
            StartTimeoutError: some were not, in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while self._missing or self.rows < rows:
            if time.monotonic() > deadline:
                missing = f"{self.rows:,} of {rows:,} rows, without those of {sorted(self._missing)}"
                raise StartTimeoutError(f"{missing}: no more on the topic after {timeout_seconds:g} s")
            messages = self._consumer.consume(10_000, 0.02)
            self.rows += len(messages)
            self._missing.difference_update(message.value() for message in messages)
            meanwhile()

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()
