"""Probes: new users with one event each, whom a reader of the online store asks for until their effect is there."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis

from churn.settings import Settings
from compose.bench.clock import now_us, percentiles
from compose.bench.load import event
from compose.bench.outside import Ends, in_background, messages_since
from feature_repo.declared import load
from feature_repo.reader import OnlineReader
from producers.publisher import Publisher

READ_EVERY_SECONDS = 0.005
FEATURE = "sessions_7d"


@dataclass
class Probes:
    """When each probe was sent, and when its effect was first seen; wall clock in microseconds.

    Without a scorer (`scored` is false) the effect is features alone.
    """

    scored: bool = True
    sent_us: dict[str, int] = field(default_factory=dict)
    features_us: dict[str, int] = field(default_factory=dict)
    score_us: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._run = f"probe-{now_us():x}"

    def send(self, publisher: Publisher) -> None:
        """Publish one probe."""
        user, sent_us = f"{self._run}-{len(self.sent_us)}", now_us()
        publisher.publish(*event(user, user, sent_us))
        self.sent_us[user] = sent_us

    def waiting(self) -> list[str]:
        """Return the probes that do not show wholly yet."""
        seen = self.score_us if self.scored else self.features_us
        return [user for user in list(self.sent_us) if user not in seen or user not in self.features_us]

    def arrivals(self, settings: Settings, starts: Ends) -> dict[str, int]:
        """Read back from Kafka when each probe arrived, in microseconds."""
        messages = ((m.key().decode(), m) for m in messages_since(settings, starts))
        return {user: 1000 * message.timestamp()[1] for user, message in messages if user in self.sent_us}

    def figures(self, arrived_us: Mapping[str, int]) -> dict[str, float | None]:
        """Return how long effects took, in milliseconds."""
        features = [self.features_us[user] - at for user, at in arrived_us.items()]
        scores = [self.score_us[user] - at for user, at in arrived_us.items()] if self.scored else []
        sent = [self.features_us[user] - at for user, at in self.sent_us.items()]
        return {
            **percentiles("arrival_to_features", features),
            **(percentiles("arrival_to_stored_score", scores) if self.scored else {}),
            **percentiles("sent_to_features", sent),
        }


@contextmanager
def online_reader(settings: Settings) -> Iterator[OnlineReader]:
    """Give a reader of the online store."""
    names = load(settings.declaration).feature_names
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        reader = OnlineReader(client, settings.feast_project, names)
        yield reader
        reader.close()


@contextmanager
def watching(settings: Settings, probes: Probes) -> Iterator[None]:
    """Note beside the block when effects of probes show."""
    column = load(settings.declaration).feature_names.index(FEATURE)
    with online_reader(settings) as reader, in_background(lambda stop: _watch(reader, column, probes, stop)):
        yield


def _watch(reader: OnlineReader, column: int, probes: Probes, stop: threading.Event) -> None:
    while not stop.wait(READ_EVERY_SECONDS):
        rows = reader.read_many(probes.waiting())
        seen_us = now_us()
        for row in rows:
            if row.features is not None and row.features[column] == 1:
                probes.features_us.setdefault(row.user_id, seen_us)
            if row.score is not None:
                probes.score_us.setdefault(row.user_id, seen_us)
