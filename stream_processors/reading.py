"""Reading a partition by hand: the client for it, its ends, where a group stands."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from churn.errors import OutageError
from churn.kafka_config import ClientConfig

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
READ_AT_ONCE = 10_000
MAX_SILENT_READS = 150

LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)
LEADERLESS_TRIES, LEADERLESS_PAUSE_SECONDS = 60, 0.5
"""A topic that was made a moment ago has no leader yet; one whose broker died has another within seconds."""


def at_leader(place: TopicPartition, ask: Callable[[], T]) -> T:
    """Return the answer of the partition's leader, waiting up to half a minute for one to be elected.

    Raises:
        OutageError: there is no leader.
        KafkaException: any other refusal.
    """
    for _ in range(LEADERLESS_TRIES):
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in LEADERLESS:
                raise
            time.sleep(LEADERLESS_PAUSE_SECONDS)
    raise OutageError(f"{place.topic} partition {place.partition} has no leader; run it again when it has one")


def watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return the first and the next offset of a partition; raises as `at_leader`."""
    low, end = at_leader(place, lambda: consumer.get_watermark_offsets(place, timeout=TIMEOUT_SECONDS))
    return int(low), int(end)


def reader(config: ClientConfig) -> Consumer:
    """Return a consumer for reading a partition by hand, tuned for bulk (defaults idle 80 % of the time)."""
    return Consumer(
        {
            **config,
            "group.id": "churn-readers",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 5,
            "fetch.message.max.bytes": 4_194_304,
            "log_level": 2,
        }
    )


def committed_offsets(config: ClientConfig, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """Return where a consumer group stands; 0 where it has never been.

    Raises:
        OutageError: Kafka does not answer.
    """
    consumer = Consumer({**config, "group.id": group, "enable.auto.commit": False, "log_level": 2})
    try:
        places = consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=TIMEOUT_SECONDS)
        return {place.partition: max(0, place.offset) for place in places}
    except KafkaException as error:
        raise OutageError(f"the offsets of group {group} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()
