"""Announcing a champion on a real Kafka."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.scores import Champion, decode_champion
from churn.settings import Settings
from churn.topics import MODELS
from compose.kafka import KafkaServer
from compose.topic_admin import ensure_topics
from training import announce as announcing
from training.announce import announce

RECORD = Champion("churn", "3", "churn/3", "00", "abc", datetime(2026, 3, 1, tzinfo=UTC), "better")


@pytest.fixture
def settings(kafka: KafkaServer, topic_prefix: str, tmp_path: Path) -> Settings:
    """Return settings with topics of their own."""
    own = Settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, data_dir=tmp_path)
    ensure_topics(own)
    return own


@pytest.fixture
def reader(settings: Settings) -> Iterator[Consumer]:
    """Return a consumer at the start of the models topic."""
    consumer = Consumer({**client_config(settings), "group.id": settings.topic_prefix, "enable.auto.commit": False})
    consumer.assign([TopicPartition(MODELS.name(settings.topic_prefix), 0, 0)])
    yield consumer
    consumer.close()


def test_a_champion_lies_on_the_models_topic_when_announcing_returns(settings: Settings, reader: Consumer) -> None:
    announce(client_config(settings), MODELS.name(settings.topic_prefix), RECORD)
    message = reader.poll(15)
    assert message is not None
    assert message.key() == b"churn"
    assert decode_champion(message.value() or b"") == RECORD


def test_an_unreachable_kafka_says_what_to_do(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setattr(announcing, "DELIVERY_SECONDS", 2.0)
    config = {"bootstrap.servers": f"127.0.0.1:{free_port}", "log_level": 0}
    with pytest.raises(OutageError, match=r"churn 3 is champion in the registry.*announce it again"):
        announce(config, "churn-models", RECORD)
