"""Waiting until a worker has dealt with everything that was published."""

from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import Topic
from compose.processes import wait_until
from compose.topic_admin import partitions_of

TIMEOUT_SECONDS = 30.0
Tell = Callable[[int, int], None]


class Lag:
    """How far a worker's consumer group is behind the end of its topic."""

    def __init__(self, settings: Settings, worker: str, topic: Topic) -> None:
        name = topic.name(settings.topic_prefix)
        self._places = [TopicPartition(name, p) for p in range(partitions_of(topic, settings))]
        group = f"{settings.topic_prefix}-{worker}"
        self._consumer = Consumer(
            {**client_config(settings), "group.id": group, "enable.auto.commit": False, "log_level": 2}
        )

    def ends(self) -> int:
        """Return the sum of the partitions' ends."""
        return sum(self._consumer.get_watermark_offsets(p, timeout=TIMEOUT_SECONDS)[1] for p in self._places)

    def done(self) -> int:
        """Return the sum of the committed offsets."""
        committed = self._consumer.committed(self._places, timeout=TIMEOUT_SECONDS)
        for place in committed:
            if place.error is not None:
                raise KafkaException(place.error)
        return sum(max(0, place.offset) for place in committed)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def wait_done(
    settings: Settings, worker: str, topic: Topic, timeout_seconds: float, check: Callable[[], None], tell: Tell
) -> int:
    """Wait until everything now on the topic is dealt with; returns how much that was.

    Raises:
        StartTimeoutError: it was not, in time.
    """
    lag = Lag(settings, worker, topic)
    try:
        end = lag.ends()

        def reached() -> bool:
            check()
            done = lag.done()
            tell(done, end)
            return done >= end

        wait_until(reached, timeout_seconds, f"{worker} has dealt with all {end:,} records of {topic.suffix}")
        return end
    finally:
        lag.close()
