"""Reading again the event ids that duplicates are recognised by.

A record that was refused when it came, and would be admitted now (the declaration changed, or a setting), was not counted:
its id must not make a duplicate of the same event when its dead letter is replayed. The letters say which these are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from churn.admission import Admission
from churn.duplicates import DuplicateFilter, rebuild_from
from churn.errors import OutageError
from churn.kafka_config import ClientConfig
from churn.records import Record
from stream_processors.reading import MAX_SILENT_READS, READ_AT_ONCE, TIMEOUT_SECONDS, at_leader, reader, watermarks

CLOCKS_APART_MS = 3_600_000
"""Letters carry the time of their worker, records that of the broker; clocks are less than an hour apart."""


@dataclass(frozen=True)
class Log:
    """One partition of the activity topic, and where its refused records go."""

    config: ClientConfig
    activity: str
    letters: str
    number: int


def remember_ids(
    log: Log, next_offset: int, admission: Admission, seen: DuplicateFilter, rebuilt_below: int = 0
) -> int:
    """Remember the ids of events below `next_offset`; returns the end of the partition.

    Below `rebuilt_below` the present declaration has admitted what was refused at first.

    Raises:
        OutageError: Kafka does not answer.
    """
    consumer = reader(log.config)
    try:
        place = TopicPartition(log.activity, log.number)
        low, end = watermarks(consumer, place)
        start = max(low, rebuild_from(next_offset))
        if start < min(next_offset, end):
            consumer.assign([TopicPartition(log.activity, log.number, start)])
            _remember(consumer, log, min(next_offset, end), admission, seen, rebuilt_below)
    except KafkaException as error:
        raise OutageError(f"{log.activity} partition {log.number} cannot be read: {error.args[0].str()}") from error
    else:
        return end
    finally:
        consumer.close()


def _remember(
    consumer: Consumer, log: Log, stop: int, admission: Admission, seen: DuplicateFilter, rebuilt_below: int
) -> None:
    reached, refused, silent_reads = False, None, 0
    while not reached:
        messages = consumer.consume(READ_AT_ONCE, timeout=0.2)
        silent_reads = 0 if messages else silent_reads + 1
        _refuse_silence(f"{log.activity} partition {log.number}", silent_reads)
        ended = [_ends(message) for message in messages]
        records = [record_of(message) for message, end in zip(messages, ended, strict=True) if not end]
        reached = any(ended) or any(record.offset >= stop - 1 for record in records)
        if records and refused is None:
            refused = refused_offsets(log, records[0].arrived_us // 1000 - CLOCKS_APART_MS)
            refused = {offset for offset in refused if offset >= rebuilt_below}
        records = [record for record in records if record.offset < stop and record.offset not in (refused or ())]
        if records:
            seen.fresh(admission.admit(records)[0])


def partition_counts(config: ClientConfig, topics: Sequence[str]) -> dict[str, int]:
    """Return how many partitions each topic has on the broker, 0 when there is no such topic.

    Raises:
        OutageError: Kafka does not answer.
    """
    consumer = reader(config)
    try:
        # All topics are asked for: a question for one alone may create it.
        found = consumer.list_topics(timeout=TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise OutageError(f"{', '.join(topics)} cannot be looked up: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return {topic: len(found[topic].partitions) if topic in found else 0 for topic in topics}


def record_of(message: Message) -> Record:
    """Return a message of the activity topic as a record."""
    return Record(message.offset() or 0, message.timestamp()[1] * 1000, message.key(), message.value())


def refused_offsets(log: Log, since_ms: int) -> set[int]:
    """Return which records of the partition have dead letters, by the letters written since then."""
    consumer = reader(log.config)
    try:
        place = TopicPartition(log.letters, 0, max(0, since_ms))
        (first,) = at_leader(place, lambda: consumer.offsets_for_times([place], TIMEOUT_SECONDS))
        if first.offset < 0:  # no letter is as young
            return set()
        consumer.assign([first])
        found: set[int] = set()
        silent_reads = 0
        while True:
            messages = consumer.consume(READ_AT_ONCE, timeout=0.2)
            silent_reads = 0 if messages else silent_reads + 1
            _refuse_silence(log.letters, silent_reads)
            found |= {offset for m in messages if (offset := _refused(m, log.number)) is not None}
            if any(_ends(message) for message in messages):
                return found
    finally:
        consumer.close()


def _refuse_silence(what: str, silent_reads: int) -> None:
    if silent_reads >= MAX_SILENT_READS:
        raise OutageError(
            f"{what}: no answer for {MAX_SILENT_READS * 0.2:g} s while reading event ids again; the worker starts again"
        )


def _ends(message: Message) -> bool:
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return error is not None


def _refused(message: Message, number: int) -> int | None:
    headers: Collection[tuple[str, bytes]] = message.headers() or [] if message.error() is None else []  # type: ignore[assignment]  # a mapping is only ever given, never read
    found = dict(headers)
    return int(found["offset"]) if found.get("partition") == b"%d" % number else None
