"""Reading blocks of one topic by partition and offset: bounded, and patient while Kafka is away."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from churn.errors import DefectError
from churn.kafka_config import ClientConfig

READ_AT_ONCE = 50
PROBE_SECONDS = 2.0
FULL_BYTES, RESUME_BYTES = 16_000_000, 4_000_000
"""A partition whose unused blocks are this large is paused until they are this small: what a pause throws away of the
client's own queue is fetched again, so the two lie far apart."""
QUEUE_KBYTES = 16_384

log = structlog.get_logger(__name__)
Take = Callable[[int, int, bytes], None]
"""Called with partition, offset and value; raises DefectError for bytes that are no block."""


class BlockReader:
    """Reads a topic from given offsets, without a consumer group's assignment."""

    def __init__(self, config: ClientConfig, topic: str, group: str, starts: Mapping[int, int]) -> None:
        """Begin to fetch in the background."""
        self._topic = topic
        self.problem = f"{topic} was not reached yet"
        """Why the topic cannot be read just now; empty when it can."""
        self.undecodable = 0
        self._next = dict(starts)
        self._paused: set[int] = set()
        self._consumer = Consumer(
            {
                **config,
                "group.id": group,
                "enable.auto.commit": False,
                # An offset that is gone must be told, not skipped; see `_complain`.
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": QUEUE_KBYTES,
                "error_cb": self._on_error,
                "log_level": 2,
            }
        )
        self.follow({})

    def follow(self, starts: Mapping[int, int]) -> None:
        """Read these partitions too."""
        self._next.update(starts)
        self._consumer.resume([TopicPartition(self._topic, p) for p in self._paused])
        self._paused.clear()
        self._consumer.assign([TopicPartition(self._topic, p, offset) for p, offset in self._next.items()])

    def _on_error(self, error: KafkaError) -> None:
        self.problem = f"{self._topic} cannot be read: {error.str()}"

    def read(self, take: Take, timeout_seconds: float) -> int:
        """Hand over what has arrived; returns how many messages that was."""
        messages = self._consumer.consume(READ_AT_ONCE, timeout_seconds)
        for message in messages:
            if message.error() is not None:
                self._complain(message)
            else:
                self._take(message, take)
        if self.problem:
            self._probe()
        return len(messages)

    def _take(self, message: Message, take: Take) -> None:
        partition, offset = _place(message)
        expected = self._next[partition]
        if offset > expected:
            log.warning("blocks are gone from the log", topic=self._topic, partition=partition, lost=offset - expected)
        self._next[partition] = offset + 1
        try:
            take(partition, offset, message.value() or b"")
        except DefectError as error:
            self.undecodable += 1
            log.error("a block is skipped", topic=self._topic, partition=partition, offset=offset, error=str(error))

    def _complain(self, message: Message) -> None:
        error, partition = message.error(), message.partition()
        if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET and partition is not None:
            # Older than the retention, or of a topic that was made anew; what was learnt already is not learnt again.
            log.warning(
                "the offset is gone, the log is read from its beginning",
                topic=self._topic, partition=partition, offset=self._next[partition],
            )  # fmt: skip
            # The client has given the partition up, so that a seek is refused; an assignment begins anew.
            self.follow({partition: self._first(partition)})
        elif error is not None:
            self._on_error(error)

    def _first(self, partition: int) -> int:
        try:
            low, _ = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), PROBE_SECONDS)
        except KafkaException as error:
            self._on_error(error.args[0])
            return 0
        return int(low)

    def _probe(self) -> None:
        """Ask the broker, because a client that has connected again says nothing until there is news."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=PROBE_SECONDS).topics[self._topic]
        except KafkaException as error:
            self._on_error(error.args[0])
            return
        missing = self._next.keys() - found.partitions.keys()
        if found.error is not None:
            self._on_error(found.error)
        else:
            self.problem = f"{self._topic} has no partition {min(missing)}" if missing else ""

    def partitions(self) -> set[int]:
        """Return the partitions that the topic has; those that are read while Kafka does not answer."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=PROBE_SECONDS).topics[self._topic]
        except KafkaException as error:
            self._on_error(error.args[0])
            return set(self._next)
        return set(found.partitions) | set(self._next)

    def ended(self, partition: int) -> bool:
        """Tell whether everything was handed over that the log holds, as far as the last fetch told."""
        # The client keeps the end of the log from each fetch; below zero before the first.
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
        return 0 <= end <= self._next[partition]

    def hold(self, partition: int, unused_bytes: int) -> None:
        """Stop or go on with a partition by the size of its unused blocks."""
        place = [TopicPartition(self._topic, partition)]
        if unused_bytes >= FULL_BYTES and partition not in self._paused:
            self._consumer.pause(place)
            self._paused.add(partition)
        elif unused_bytes <= RESUME_BYTES and partition in self._paused:
            self._consumer.resume(place)
            self._paused.discard(partition)

    def commit(self, offsets: Mapping[int, int], wait: bool = False) -> None:
        """Tell how far the work has come; a failure is no loss, the next one tells it too."""
        places: list[Any] = [TopicPartition(self._topic, p, offset) for p, offset in offsets.items()]
        try:
            if wait:
                self._consumer.commit(offsets=places, asynchronous=False)
            else:
                self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            log.warning("progress was not told", topic=self._topic, error=str(error))

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def _place(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    if partition is None or offset is None:
        raise DefectError("a message without a place")
    return partition, offset
