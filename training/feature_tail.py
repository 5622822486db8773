"""Reading one partition of the features topic only as far as a delay line wants it."""

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from churn.blocks import decode_features
from churn.errors import DefectError, OutageError
from churn.kafka_config import ClientConfig
from training.delay_line import DelayLine

POLL_SECONDS = 0.2
SILENCE_SECONDS = 30.0
"""A broker that holds records and gives none for so long is away."""


class FeatureTail:
    """A reader of one partition with a consumer of its own, so that what lies beyond the midnight stays fetched."""

    def __init__(self, config: ClientConfig, topic: str, partition: int, offset: int) -> None:
        """Stand at `offset`, or at the oldest record left when retention has taken it."""
        own = {
            "group.id": f"{topic}-learner",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            # A midnight's blocks are read at once and then nothing for 100 ms to a day: a small queue is enough.
            "queued.max.messages.kbytes": 8192,
            "fetch.queue.backoff.ms": 5,
            "log_level": 2,
        }
        self._consumer = Consumer({**config, **own})
        self._place = TopicPartition(topic, partition, offset)
        self._consumer.assign([self._place])
        self._next = offset
        self._held: Message | None = None

    @property
    def next_offset(self) -> int:
        """Return the offset of the first record that no delay line has taken."""
        return self._next

    def feed(self, line: DelayLine) -> None:
        """Offer blocks until one lies after the line's midnight, or the end of the topic as it is now.

        Raises:
            OutageError: Kafka does not answer; feed again.
            DefectError: a record is no feature block, or one of another partition.
        """
        low, end = self._watermarks()
        silent_polls = 0
        while max(self._next, low) < end:
            message = self._held or self._consumer.poll(POLL_SECONDS)
            if message is None:
                silent_polls += 1
                if silent_polls * POLL_SECONDS > SILENCE_SECONDS:
                    raise OutageError(f"{self._named} gives no record for {SILENCE_SECONDS:g} s; Kafka is slow or away")
                continue
            silent_polls = 0
            if not self._take(line, message):
                return

    def _watermarks(self) -> tuple[int, int]:
        try:
            low, end = self._consumer.get_watermark_offsets(self._place, timeout=SILENCE_SECONDS)
        except KafkaException as error:
            raise OutageError(f"{self._named} cannot be read: {error.args[0].str()}") from error
        return int(low), int(end)

    def _take(self, line: DelayLine, message: Message) -> bool:
        error, value = message.error(), message.value()
        if error is not None:
            raise OutageError(f"{self._named} cannot be read: {error.str()}")
        block = decode_features(value or b"")
        if block.partition != self._place.partition:
            raise DefectError(
                f"{self._named} holds a block of partition {block.partition} at offset {message.offset()}"
            )
        if not line.offer(block):
            self._held, self._next = message, message.offset() or 0
            return False
        self._held, self._next = None, (message.offset() or 0) + 1
        return True

    @property
    def _named(self) -> str:
        return f"{self._place.topic} partition {self._place.partition}"

    def close(self) -> None:
        """Leave the topic."""
        self._consumer.close()
