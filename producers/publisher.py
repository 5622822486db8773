"""Publish events to Kafka, keyed by user, so that one user's events stay in order on one partition."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from churn.errors import OutageError

# A full queue is served in slices this long: short enough to notice a dead broker, long enough not to spin.
FULL_QUEUE_POLL_SECONDS = 0.1
# Serving callbacks after every message would cost as much as the message (0.5 us); after 4,096 it costs nothing.
MESSAGES_PER_POLL = 4096
FLUSH_TIMEOUT_SECONDS = 120.0

SPEED_AND_SAFETY: Mapping[str, object] = {
    "enable.idempotence": True,
    # The Java clients' own choice, so that joins with topics that others write meet on the same partition.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 262_144,
    # Only failures call back: one Python call per delivered message would halve the throughput.
    "delivery.report.only.error": True,
    "message.timeout.ms": 60_000,
    # What goes wrong is raised as an error; the client's own lines on stderr would say it again, unasked.
    "log_level": 2,
}


class Publisher:
    """Deliver events to one topic, or say that they were not delivered.

    `config` holds the connection settings (`bootstrap.servers`, security); its entries win over SPEED_AND_SAFETY.
    Used as a context manager it flushes at the end of the block.
    """

    def __init__(
        self,
        config: Mapping[str, object],
        topic: str,
        flush_timeout_seconds: float = FLUSH_TIMEOUT_SECONDS,
    ) -> None:
        self.topic = topic
        self._published = 0
        self._failed = 0
        self._first_failure = ""
        self._flush_timeout_seconds = flush_timeout_seconds
        self._producer = Producer({**SPEED_AND_SAFETY, **config, "on_delivery": self._on_failure})

    @property
    def delivered(self) -> int:
        """Return how many events the broker has confirmed so far."""
        return self._published - self._failed - len(self._producer)

    def publish(self, user_id: str, value: bytes) -> None:
        """Queue one event for delivery; wait for room when the queue is full. Raises OutageError."""
        while True:
            try:
                self._producer.produce(self.topic, value, user_id)
                break
            except BufferError:
                self._producer.poll(FULL_QUEUE_POLL_SECONDS)
                self._raise_failure()
            except KafkaException as error:
                raise OutageError(f"{self.topic}: cannot publish ({error}); is the broker reachable?") from error
        self._published += 1
        if self._published % MESSAGES_PER_POLL == 0:
            self.poll()

    def publish_all(self, events: Iterable[tuple[str, bytes]]) -> None:
        """Queue many events, given as (user_id, value), in their order. Raises OutageError."""
        publish = self.publish
        for user_id, value in events:
            publish(user_id, value)

    def poll(self) -> None:
        """Look for failed deliveries without waiting. Raises OutageError."""
        self._producer.poll(0)
        self._raise_failure()

    def flush(self) -> None:
        """Return when every published event is delivered. Raises OutageError when one is not."""
        left = self._producer.flush(self._flush_timeout_seconds)
        self._raise_failure()
        if left:
            raise OutageError(
                f"{self.topic}: {left} of {self._published} events not delivered after "
                f"{self._flush_timeout_seconds:.0f} s; is the broker reachable?"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # After an error the block's own error is the news; waiting for a dead broker would only delay it.
        if kind is None:
            self.flush()

    def _on_failure(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            return
        self._failed += 1
        self._first_failure = self._first_failure or error.str()

    def _raise_failure(self) -> None:
        if self._failed:
            raise OutageError(
                f"{self.topic}: {self._failed} of {self._published} events not delivered "
                f"({self._first_failure}); is the broker reachable?"
            )
