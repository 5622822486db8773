"""The durable state of a partition: a compacted topic, written in transactions and read back at assignment.

One transaction holds the changed users and the partition's own record (next offset, watermark), so that state and
source offset cannot disagree after a crash. `transactional.id` is the partition's: when a new owner starts, the broker
fences the former one, and whatever a frozen and woken worker still writes is refused.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, Producer, TopicPartition

from churn.errors import DataError, OutageError
from churn.fault_points import passing
from churn.kafka_config import ClientConfig
from churn.packing import META_KEY, SUMMARY_KEY, PartitionMeta, decode_meta, encode_meta
from churn.topics import LARGE_MESSAGE_BYTES
from stream_processors.letters import DeadLetter
from stream_processors.reading import MAX_SILENT_READS, READ_AT_ONCE, TIMEOUT_SECONDS, reader


class FencedOwnerError(OutageError):
    """Another worker owns the partition now; this one must let go of it."""


class UnknownOutcomeError(OutageError):
    """A transaction neither ended nor could be given up; a fresh start reads what became of it."""


class Changelog:
    """Writes the state of one partition."""

    def __init__(self, config: ClientConfig, topic: str, partition: int, letters_topic: str) -> None:
        self._topic, self._partition, self._letters = topic, partition, letters_topic
        self._producer = Producer(
            {
                **config,
                "transactional.id": f"{topic}-{partition}",
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": LARGE_MESSAGE_BYTES,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 1_048_576,
                "transaction.timeout.ms": 60_000,
                "log_level": 2,
            }
        )
        # A checkpoint runs on a thread; fencing and closing must not run beside it.
        self._lock = threading.Lock()

    def claim(self) -> None:
        """Fence every former owner of the partition; their transactions are aborted."""
        with self._lock:
            try:
                self._producer.init_transactions(TIMEOUT_SECONDS)
            except KafkaException as error:
                raise _outage(error) from error

    def write(
        self,
        users: Sequence[str],
        values: Sequence[bytes | None],
        meta: PartitionMeta,
        letters: Sequence[DeadLetter] = (),
        described: Mapping[str, str] | None = None,
    ) -> None:
        """Write users, dead letters and the partition's record, all or nothing; a user without a value is forgotten.

        `described` is the declaration that the state is of, in words; it stays until it is written anew.

        Raises:
            FencedOwnerError: another worker owns the partition.
            UnknownOutcomeError: only a fresh start helps.
            OutageError: nothing was written; write again.
        """
        with self._lock:
            try:
                self._producer.begin_transaction()
                passing("features.transaction_begun")
                for user, value in zip(users, values, strict=True):
                    self._produce(user.encode(), value)
                passing("features.transaction_users")
                for letter in letters:
                    self._produce_letter(letter)
                if described is not None:
                    self._produce(SUMMARY_KEY, msgspec.json.encode(described))
                self._produce(META_KEY, encode_meta(meta))
                passing("features.transaction_full")
                self._producer.commit_transaction(TIMEOUT_SECONDS)
                passing("features.transaction_committed")
            except KafkaException as error:
                self._abort(error)
                raise _outage(error) from error

    def _produce(self, key: bytes, value: bytes | None) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, self._partition)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def _produce_letter(self, letter: DeadLetter) -> None:
        while True:
            try:
                self._producer.produce(self._letters, letter.value, letter.key, headers=letter.headers)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def _abort(self, error: KafkaException) -> None:
        """Give the transaction up, so that the next one can begin; a fenced producer has none to give up."""
        if error.args[0].fatal():
            return
        try:
            self._producer.abort_transaction(TIMEOUT_SECONDS)
        except KafkaException as second:
            seen = f"{error.args[0].str()}; then {second.args[0].str()}"
            raise UnknownOutcomeError(
                f"a checkpoint of {self._topic} partition {self._partition} was neither written nor given up ({seen});"
                " the worker starts again from the last one"
            ) from second

    def close(self) -> None:
        """Drop what is not written; safe at any time."""
        with self._lock:
            self._producer.purge()
            # A fenced producer raises even here, and has nothing to write any more.
            with contextlib.suppress(KafkaException):
                self._producer.flush(1.0)


def _outage(error: KafkaException) -> OutageError:
    cause = error.args[0]
    if cause.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED):
        return FencedOwnerError(f"another worker owns this partition now ({cause.str()}); it is given up here")
    return OutageError(f"Kafka did not take a checkpoint ({cause.str()}); it is tried again")


class Stored(NamedTuple):
    """The last state of a partition: its own record, one value per user, and its declaration in words."""

    meta: PartitionMeta | None
    users: dict[bytes, bytes]
    described: dict[str, str]


def read(config: ClientConfig, topic: str, partition: int) -> Stored:
    """Read the last state of a partition.

    Raises:
        OutageError: the topic could not be read to its end.
        DataError: the partition's record is not readable.
    """
    latest = latest_by_key(config, topic, partition)
    meta, described = latest.pop(META_KEY, None), latest.pop(SUMMARY_KEY, b"{}")
    if meta is None:
        return Stored(None, {}, {})
    try:
        return Stored(decode_meta(meta), latest, msgspec.json.decode(described, type=dict[str, str]))
    except ValueError as error:
        raise DataError(f"{topic} partition {partition}: the stored position is unreadable: {error}") from error


def latest_by_key(config: ClientConfig, topic: str, partition: int) -> dict[bytes, bytes]:
    """Return the last committed value of every key; keys whose last value is a tombstone are left out."""
    consumer = reader(config)
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        latest: dict[bytes, bytes] = {}
        deadline_misses = 0
        while deadline_misses < MAX_SILENT_READS:
            messages = consumer.consume(READ_AT_ONCE, timeout=0.2)
            deadline_misses = 0 if messages else deadline_misses + 1
            ended = [_take(latest, message) for message in messages]
            if any(ended):
                return latest
        raise OutageError(
            f"{topic} partition {partition}: no answer for {MAX_SILENT_READS * 0.2:g} s while reading the state"
        )
    except KafkaException as error:
        raise OutageError(f"{topic} partition {partition} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _take(latest: dict[bytes, bytes], message: Message) -> bool:
    """Keep one message; returns whether it marks the end (markers of transactions hide the last offset)."""
    error = message.error()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:
            return True
        raise KafkaException(error)
    key, value = message.key() or b"", message.value()
    if value is None:
        latest.pop(key, None)
    else:
        latest[key] = value
    return False
