"""A whole road for tests: real Kafka, Redis and workers, events whose truth is known, and the comparison."""

import json
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import redis
from confluent_kafka import Consumer, Message, TopicPartition

from churn.admission import Admission
from churn.declaration import Declaration
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.partition import Partition
from churn.records import Record
from churn.settings import Settings
from churn.topics import ACTIVITY, Topic
from compose.environment import read_settings
from compose.local import LocalStack
from compose.nursery import NurserySupervisor
from compose.processes import wait_until
from compose.topic_admin import ensure_topics, partitions_of
from feature_repo.declared import load
from feature_repo.reader import OnlineReader
from producers.publisher import Publisher

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Road:
    """A stack with its settings."""

    stack: LocalStack
    settings: Settings
    declaration: Declaration

    def publisher(self) -> Publisher:
        """Return a publisher to the activity topic."""
        return Publisher(client_config(self.settings), ACTIVITY.name(self.settings.topic_prefix))

    def publish(self, events: Sequence[tuple[str, bytes]]) -> None:
        """Publish (user, value) pairs and wait for their delivery."""
        with self.publisher() as publisher:
            publisher.publish_all(events)

    def online(self, users: Sequence[str]) -> dict[str, bytes | None]:
        """Return each user's vector in the online store as bytes; None where there is no row."""
        with redis.Redis.from_url(self.stack.redis.url) as client:
            reader = OnlineReader(client, self.settings.feast_project, self.declaration.feature_names)
            rows = reader.read_many(users)
            reader.close()
        return {row.user_id: None if row.features is None else clean_bits(row.features) for row in rows}

    def truth(self) -> dict[str, bytes]:
        """Recompute every user's vector from the topic itself, by partition, in one batch."""
        by_partition: dict[int, list[Record]] = defaultdict(list)
        for message in self.read(ACTIVITY):
            by_partition[message.partition() or 0].append(
                Record(message.offset() or 0, message.timestamp()[1] * 1000, message.key(), message.value())
            )
        found: dict[str, bytes] = {}
        for number, records in by_partition.items():
            found |= self._vectors(number, records)
        return found

    def _vectors(self, number: int, records: list[Record]) -> dict[str, bytes]:
        layout = layout_of(self.declaration)
        partition = Partition(layout, number, user_ttl_days=self.settings.user_ttl_days)
        admitted, _ = Admission(layout, self.settings.max_future_minutes * 60_000_000).admit(records)
        list(partition.ingest(admitted, records[-1].offset + 1))
        emission = partition.refresh()
        if emission is None:  # nothing in this partition is an event
            return {}
        return dict(zip(partition.names(emission.slots), map(clean_bits, emission.matrix), strict=True))

    def batch(self, events: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
        """Compute every user's vector from events alone, in the order of time, on one partition."""
        in_time = sorted(events, key=lambda each: _occurred(each[1]))
        # Each arrives so late that none is of the future.
        return self._vectors(0, [Record(n, 2**52, user.encode(), value) for n, (user, value) in enumerate(in_time)])

    def wait_online_equals_truth(self, timeout_seconds: float = 60.0) -> int:
        """Wait until the online store holds exactly the recomputed vectors; returns how many."""
        truth = self.truth()
        users = sorted(truth)
        try:
            wait_until(lambda: self.online(users) == truth, timeout_seconds, "the online store equals the batch")
        except Exception as error:
            online = self.online(users)
            wrong = [user for user in users if online[user] != truth[user]]
            shown = {u: self._differences(online[u], truth[u]) for u in wrong[:3]}
            logs = self.stack.log_path("features").read_text()[-2000:]
            raise AssertionError(f"{len(wrong)} of {len(users)} users differ: {shown}\n{logs}") from error
        return len(users)

    def _differences(self, got: bytes | None, want: bytes) -> dict[str, tuple[float, float]] | str:
        if got is None:
            return "no row"
        pairs = zip(self.declaration.feature_names, np.frombuffer(got, "f4"), np.frombuffer(want, "f4"), strict=True)
        return {name: (float(g), float(w)) for name, g, w in pairs if g.tobytes() != w.tobytes()}

    def read(self, topic: Topic) -> list[Message]:
        """Read a topic from its beginning to its present end (committed messages only)."""
        consumer = Consumer(
            {
                **client_config(self.settings),
                "group.id": "tests",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        name = topic.name(self.settings.topic_prefix)
        consumer.assign([TopicPartition(name, p, 0) for p in range(partitions_of(topic, self.settings))])
        messages: list[Message] = []
        ended = 0
        while ended < partitions_of(topic, self.settings):
            for message in consumer.consume(5000, 0.05):
                if message.error() is None:
                    messages.append(message)
                else:
                    ended += 1
        consumer.close()
        return messages

    def reasons(self, service: str) -> list[str]:
        """Return why a worker says that it is not ready."""
        try:
            with urllib.request.urlopen(self.stack.url(service) + "/ready", timeout=5) as answer:  # noqa: S310  our own http url
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        reasons: list[str] = found["reasons"]
        return reasons

    def metrics(self, service: str) -> Mapping[str, float]:
        """Return a worker's metrics, summed over their labels."""
        with urllib.request.urlopen(self.stack.url(service) + "/metrics", timeout=5) as answer:  # noqa: S310  our own http url
            lines = answer.read().decode().splitlines()
        found: dict[str, float] = defaultdict(float)
        for line in lines:
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name.split("{")[0]] += float(value)
        return found


def _occurred(value: bytes) -> str:
    try:
        return str(json.loads(value)["occurred_at"])
    except ValueError:  # rubbish has no time
        return ""


def clean_bits(vector: Any) -> bytes:
    """Return a vector as bytes that equal those of the online store."""
    # Missing values are null in the online store and come back as one NaN; its bits carry nothing.
    clean = np.where(np.isnan(vector), np.float32(np.nan), vector).astype(np.float32)
    return bytes(clean.tobytes())


def event(user: str, kind: str, at: datetime, event_id: str, minutes: float = 10.0) -> tuple[str, bytes]:
    """Return a (user, value) pair of the e-learning contract."""
    measures = {"lesson_completed": {"minutes": minutes}, "quiz_submitted": {"score": 50.0}}.get(kind)
    content = {
        "event_id": event_id,
        "user_id": user,
        "event_type": kind,
        "occurred_at": at.isoformat(),
        "schema_version": 1,
        **({"measures": measures} if measures else {}),
    }
    return user, json.dumps(content).encode()


def history(users: int, days: int, per_day: int, seed: int = 1) -> list[tuple[str, bytes]]:
    """Return events of many users in the order of time, the last one at least an hour before a midnight."""
    chance = np.random.default_rng(seed)
    kinds = ("session_started", "lesson_completed", "quiz_submitted", "support_ticket_opened")
    count = days * per_day
    seconds = np.sort(chance.integers(0, days * 86_400 - 3600, count))
    return [
        event(
            f"u{chance.integers(users):05d}",
            kinds[chance.integers(len(kinds))],
            START + timedelta(seconds=int(s)),
            f"{seed}-{i}",
        )
        for i, s in enumerate(seconds)
    ]


@contextmanager
def road(folder: Path, **variables: str) -> Iterator[Road]:
    """Start Kafka and Redis with topics; workers are started by the test."""
    fast = {
        "CHURN_ARCHIVE_FLUSH_SECONDS": "1",
        "CHURN_CHECKPOINT_INTERVAL_MS": "300",
        "CHURN_SESSION_TIMEOUT_SECONDS": "6",
    }
    fast |= variables
    with LocalStack(folder, fast, supervisor=NurserySupervisor(shared=True)) as stack:
        names = {k: v for k, v in stack.environment().items() if k.startswith("CHURN_")}
        settings = read_settings(names)
        ensure_topics(settings)
        yield Road(stack, settings, load(settings.declaration))
