"""When the vectors of a midnight are all out: on the features topic, and in Redis."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from churn.blocks import decode_features
from churn.settings import Settings
from churn.topics import FEATURES
from compose.bench.clock import now_us
from compose.bench.outside import consumer_of, ends, in_background
from compose.bench.probes import online_reader
from feature_repo.reader import OnlineReader

READ_EVERY_SECONDS = 0.05


@dataclass
class Midnight:
    """What of it was seen so far: rows on the topic, and the users of a sample whose row in Redis is still of yesterday.

    With a sample of a thousand users the last one is seen at 99.9 % of the way.
    """

    users: int
    sample: set[str]
    midnight_us: int
    rows: int = 0
    topic_us: int = 0
    redis_us: int = 0

    @property
    def done(self) -> bool:
        """Tell whether all of it is out."""
        return bool(self.topic_us and self.redis_us)


@contextmanager
def watching_midnight(settings: Settings, midnight: Midnight) -> Iterator[None]:
    """Note beside the block how far a midnight has come."""
    with (
        online_reader(settings) as reader,
        in_background(lambda stop: _watch_topic(settings, midnight, stop)),
        in_background(lambda stop: _watch_redis(reader, midnight, stop)),
    ):
        yield


def _watch_topic(settings: Settings, midnight: Midnight, stop: threading.Event) -> None:
    with closing(consumer_of(settings)) as consumer:
        consumer.assign([TopicPartition(p.topic, p.partition, end) for p, end in ends(settings, FEATURES).items()])
        while not stop.is_set() and not midnight.topic_us:
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            block = decode_features(message.value() or b"")
            midnight.rows += len(block.users) if block.kind == "roll" else 0
            if midnight.rows >= midnight.users:
                midnight.topic_us = now_us()


def _watch_redis(reader: OnlineReader, midnight: Midnight, stop: threading.Event) -> None:
    missing = set(midnight.sample)
    while missing and not stop.wait(READ_EVERY_SECONDS):
        rows = reader.read_many(sorted(missing))
        missing -= {row.user_id for row in rows if (row.as_of_us or 0) >= midnight.midnight_us}
    if not missing:
        midnight.redis_us = now_us()
