"""Vectors and labels of a made-up business on real topics: users silent for more than 15 days churn."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from churn.blocks import FeatureBlock, LabelBlock, OutcomeBlock, decode_outcomes, encode
from churn.declaration import Declaration, parse
from churn.layout import DAY_US
from churn.settings import Settings
from churn.topics import FEATURES, LABELS, OUTCOMES

BUSINESS = """
business: test
events: {visit: {activity: true}}
features:
  silent: {days_since_last: activity, cap: 90, says: a}
  days: {days: activity, windows: [30], says: b}
"""
DECLARED: Declaration = parse(BUSINESS, "test")
USERS = [f"user-{i}" for i in range(100)]


def publish(settings: Settings, days: range) -> None:
    """Publish a roll and its labels for each day: users silent for long churn; then one roll after the last."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "acks": "all"})
    for day in [*days, days[-1] + 1]:
        random = np.random.default_rng(day)
        matrix = np.stack([random.integers(1, 41, 100), random.integers(0, 30, 100)], axis=1).astype(np.float32)
        block = FeatureBlock("roll", 0, 1, day * DAY_US, 0, 0, DECLARED.feature_set_version, USERS, matrix.tobytes())
        producer.produce(FEATURES.name(settings.topic_prefix), encode(block), partition=0)
    for day in days:
        random = np.random.default_rng(day)
        churned = random.integers(1, 41, 100) > 15
        label = LabelBlock(0, 1, day * DAY_US, (day + 30) * DAY_US, USERS, churned.tobytes())
        producer.produce(LABELS.name(settings.topic_prefix), encode(label), partition=0)
    assert producer.flush(30) == 0


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.02)


def population(days: range) -> int:
    """Return how many published rows are silent for 1 to 30 days."""
    return sum(int((np.random.default_rng(day).integers(1, 41, 100) <= 30).sum()) for day in days)


def outcomes(settings: Settings) -> Iterator[OutcomeBlock]:
    """Yield everything that was published of matured labels, from the first partition."""
    name = OUTCOMES.name(settings.topic_prefix)
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "test"})
    consumer.assign([TopicPartition(name, 0, 0)])
    _, end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10)
    read = 0
    while read < end:
        for message in consumer.consume(100, 1.0):
            assert message.error() is None
            read = (message.offset() or 0) + 1
            yield decode_outcomes(message.value() or b"")
    consumer.close()
