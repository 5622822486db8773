"""The learner on a real Kafka: it joins, learns, and goes on after a stop or a kill as if nothing had happened."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from churn.blocks import FeatureBlock, LabelBlock, encode
from churn.declaration import Declaration, parse
from churn.layout import DAY_US
from churn.settings import Settings
from churn.topics import FEATURES, LABELS
from compose.kafka import KafkaServer
from compose.topic_admin import ensure_topics
from feature_repo.instruments import Instruments
from training.learner import Learner
from training.online import OnlineState

BUSINESS = """
business: test
events: {visit: {activity: true}}
features:
  silent: {days_since_last: activity, cap: 90, says: a}
  days: {days: activity, windows: [30], says: b}
"""
DECLARED: Declaration = parse(BUSINESS, "test")
USERS = [f"user-{i}" for i in range(100)]


@pytest.fixture
def settings(kafka: KafkaServer, topic_prefix: str, tmp_path: Path) -> Settings:
    """Return settings of one partition with topics of their own."""
    own = Settings(
        kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, partitions=1, data_dir=tmp_path
    )
    ensure_topics(own)
    return own


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


@contextmanager
def running(settings: Settings) -> Iterator[Learner]:
    """Run a learner in a thread; stop it at the end."""
    learner, stop = Learner(settings, DECLARED, Instruments("learner")), threading.Event()
    thread = threading.Thread(target=learner.run, args=(stop,))
    thread.start()
    try:
        yield learner
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.02)


def population(days: range) -> int:
    """Return how many published rows are silent for 1 to 30 days."""
    return sum(int((np.random.default_rng(day).integers(1, 41, 100) <= 30).sum()) for day in days)


def learnt(settings: Settings, days: range) -> OnlineState:
    """Return the state after a learner has taken all labels of these days."""
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(days))
        assert learner.not_ready() == []
    return learner.model.state()


def test_labels_are_learnt_with_the_vectors_of_their_midnight(settings: Settings) -> None:
    publish(settings, range(100, 130))
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(range(100, 130)))
    # With vectors of another day the labels would be independent of them, and the AUC one half.
    assert learner.model.rolling.auc() > 0.9


def test_a_restarted_learner_ends_where_an_uninterrupted_one_does(settings: Settings, tmp_path: Path) -> None:
    publish(settings, range(100, 110))
    learnt(settings, range(100, 110))
    publish(settings, range(110, 120))
    restarted = learnt(settings, range(100, 120))
    fresh = elsewhere(settings, tmp_path / "fresh")
    assert restarted == learnt(fresh, range(100, 120))


def test_a_killed_learner_repeats_nothing_and_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    publish(settings, range(100, 110))
    learnt(settings, range(100, 110))
    shutil.copytree(tmp_path / "models", tmp_path / "then" / "models")
    publish(settings, range(110, 120))
    whole = learnt(settings, range(100, 120))
    # A kill is a process that left no snapshot after the one of then.
    assert learnt(elsewhere(settings, tmp_path / "then"), range(100, 120)) == whole


def elsewhere(settings: Settings, data_dir: Path) -> Settings:
    """Return the same settings over another data folder."""
    return settings.model_copy(update={"data_dir": data_dir})
