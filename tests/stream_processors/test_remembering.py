"""Event ids are read again within a bounded time, or it is said that Kafka is away."""

import pytest
from confluent_kafka import TopicPartition

from churn.admission import Admission
from churn.duplicates import DuplicateFilter
from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.topics import ACTIVITY, DEAD_LETTERS
from compose.kafka import KafkaServer
from compose.topic_admin import ensure_topics
from stream_processors import remembering
from stream_processors.reading import reader
from stream_processors.remembering import Log
from tests.api.building import DECLARATION, settings


def test_a_broker_that_falls_silent_is_an_outage_and_no_endless_wait(
    kafka: KafkaServer, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, partitions=1)
    ensure_topics(made)
    log = Log(client_config(made), ACTIVITY.name(topic_prefix), DEAD_LETTERS.name(topic_prefix), 0)
    monkeypatch.setattr(remembering, "MAX_SILENT_READS", 5)
    consumer = reader(log.config)
    kafka.freeze()
    try:
        consumer.assign([TopicPartition(log.activity, 0, 0)])
        with pytest.raises(
            OutageError, match=r"-activity partition 0: no answer for 1 s while reading event ids again"
        ):
            remembering._remember(consumer, log, 1, Admission(layout_of(DECLARATION), 0), DuplicateFilter(), 0)
    finally:
        kafka.thaw()
        consumer.close()
