"""The activity topic from its first event on: what retention has dropped comes from the archive, the rest from the log."""

from collections.abc import Iterator

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.records import Record
from churn.settings import Settings
from churn.topics import ACTIVITY
from stream_processors.archived import archived
from stream_processors.reading import MAX_SILENT_READS, READ_AT_ONCE, reader, watermarks
from stream_processors.remembering import record_of

BATCH_RECORDS = 10_000
PREFETCHED_KB = 16_384
"""Of each partition; partitions that are read side by side hold this much each, and by default four times as much."""


class History:
    """Reads the events of one prefix, partition by partition, in the order of their offsets."""

    def __init__(self, settings: Settings) -> None:
        self._config = {**client_config(settings), "queued.max.messages.kbytes": PREFETCHED_KB}
        self._archive_dir = settings.archive_dir
        self.topic = ACTIVITY.name(settings.topic_prefix)

    def ends(self, number: int) -> tuple[int, int]:
        """Return the first offset that the log still has, and the one that the next event will get.

        Raises:
            OutageError: Kafka does not answer.
        """
        consumer = reader(self._config)
        try:
            low, end = watermarks(consumer, TopicPartition(self.topic, number))
        except KafkaException as error:
            raise self._outage(number, error) from error
        finally:
            consumer.close()
        return low, end

    def archived(self, number: int, below: int) -> Iterator[list[Record]]:
        """Yield the accepted events of offsets [0, below) from the archive.

        Raises:
            DataError: a range of offsets is not in the archive.
        """
        if below:
            for records in archived(self._archive_dir, number, below):
                for start in range(0, len(records), BATCH_RECORDS):
                    yield records[start : start + BATCH_RECORDS]

    def log(self, number: int, start: int, stop: int) -> Iterator[list[Record]]:
        """Yield the records of offsets [start, stop) from the topic, events or not.

        Raises:
            OutageError: Kafka does not answer.
        """
        for messages in self.messages(number, start, stop):
            yield [record_of(message) for message in messages]

    def messages(self, number: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield the messages of offsets [start, stop) from the topic; raises as `log`."""
        if start >= stop:
            return
        consumer = reader(self._config)
        try:
            consumer.assign([TopicPartition(self.topic, number, start)])
            silent_reads, reached = 0, False
            while not reached:
                messages = consumer.consume(READ_AT_ONCE, timeout=0.2)
                silent_reads = 0 if messages else silent_reads + 1
                if silent_reads >= MAX_SILENT_READS:
                    raise OutageError(f"{self.topic} partition {number}: no answer for {MAX_SILENT_READS * 0.2:g} s")
                found = [message for message in messages if not _is_end(message)]
                below = [message for message in found if (message.offset() or 0) < stop]
                reached = len(found) < len(messages) or any((message.offset() or 0) >= stop - 1 for message in found)
                if below:
                    yield below
        except KafkaException as error:
            raise self._outage(number, error) from error
        finally:
            consumer.close()

    def _outage(self, number: int, error: KafkaException) -> OutageError:
        return OutageError(f"{self.topic} partition {number} cannot be read: {error.args[0].str()}")


def _is_end(message: Message) -> bool:
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return error is not None
