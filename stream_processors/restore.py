"""Taking over a partition: fence the former owner, load its last checkpoint, remember its recent event ids."""

from collections.abc import Callable

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from churn.admission import Admission, Record
from churn.declaration import Declaration
from churn.duplicates import DuplicateFilter, rebuild_from
from churn.errors import DataError, OutageError
from churn.kafka_config import ClientConfig, client_config
from churn.layout import layout_of
from churn.packing import PartitionMeta
from churn.partition import Clock, Partition
from churn.settings import Settings
from churn.topics import ACTIVITY, DEAD_LETTERS, USER_STATE
from stream_processors.changelog import READ_AT_ONCE, TIMEOUT_SECONDS, Changelog, read, reader
from stream_processors.owned import OwnedPartition

log = structlog.get_logger(__name__)


class Restorer:
    """Loads partitions; each `load` may run on a thread of its own."""

    def __init__(
        self, settings: Settings, declaration: Declaration, admission: Admission, wall_us: Callable[[], int]
    ) -> None:
        self._config = client_config(settings)
        self._activity = ACTIVITY.name(settings.topic_prefix)
        self._state = USER_STATE.name(settings.topic_prefix)
        self._letters = DEAD_LETTERS.name(settings.topic_prefix)
        self._partitions = settings.partitions
        self._layout = layout_of(declaration)
        self._version = declaration.feature_set_version
        self._admission = admission
        self._wall_us = wall_us

    def load(self, number: int, generation: int) -> OwnedPartition:
        """Become the owner of a partition.

        Raises:
            DataError: the stored state belongs to another declaration or partition count.
            OutageError: Kafka does not answer.
        """
        changelog = Changelog(self._config, self._state, number, self._letters)
        changelog.claim()
        stored, values = read(self._config, self._state, number)
        if stored is not None:
            self._check(number, stored)
        meta = stored or PartitionMeta(self._version, self._partitions, 0, 0, 0, 0)
        state = Partition(self._layout, number)
        state.restore(
            Clock(meta.watermark_us, meta.watermark_arrived_us),
            meta.next_offset,
            [key.decode() for key in values],
            list(values.values()),
        )
        end = remember_ids(self._config, self._activity, number, meta.next_offset, self._admission, state.duplicates)
        owned = self._owned(state, changelog, meta, generation, end)
        log.info(
            "partition loaded", partition=number, users=state.users, next_offset=meta.next_offset, epoch=owned.epoch
        )
        return owned

    def _check(self, number: int, meta: PartitionMeta) -> None:
        if meta.feature_set_version != self._version:
            raise DataError(
                f"{self._state} partition {number}: the stored state is of feature set {meta.feature_set_version}, the"
                f" declaration is {self._version}; start under another CHURN_TOPIC_PREFIX, or delete the state topic and"
                " the consumer group to build the state anew from the log"
            )
        if meta.partitions != self._partitions:
            raise DataError(
                f"{self._state} partition {number}: the stored state is of {meta.partitions} partitions, CHURN_PARTITIONS"
                f" is {self._partitions}; users would change their partition: set it back, or build the state anew"
            )

    def _owned(
        self, state: Partition, changelog: Changelog, meta: PartitionMeta, generation: int, end: int
    ) -> OwnedPartition:
        epoch = meta.epoch + 1
        clock = state.clock
        mine = PartitionMeta(
            self._version,
            self._partitions,
            meta.next_offset,
            clock.watermark_us,
            clock.arrived_us,
            epoch,
            meta.unemitted,
        )
        changelog.write([], [], mine)
        owned = OwnedPartition(state, changelog, epoch, generation, meta.next_offset, meta.next_offset, end)
        owned.last_arrival_us = self._wall_us()
        # The online store may have lost rows, or never got those held back during a replay: write everyone once.
        everyone = state.refresh()
        if everyone is not None:
            owned.mark_stale(everyone.slots)
        owned.refresh_for = "" if meta.unemitted else None
        return owned


def remember_ids(
    config: ClientConfig, topic: str, number: int, next_offset: int, admission: Admission, seen: DuplicateFilter
) -> int:
    """Read again the event ids that duplicates are recognised by; returns the end of the partition."""
    consumer = reader(config)
    try:
        place = TopicPartition(topic, number)
        low, end = consumer.get_watermark_offsets(place, timeout=TIMEOUT_SECONDS)
        start = max(low, rebuild_from(next_offset))
        if start < min(next_offset, end):
            consumer.assign([TopicPartition(topic, number, start)])
            _remember(consumer, min(next_offset, end), admission, seen)
        return int(end)
    except KafkaException as error:
        raise OutageError(f"{topic} partition {number} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _remember(consumer: Consumer, stop: int, admission: Admission, seen: DuplicateFilter) -> None:
    reached = False
    while not reached:
        messages = consumer.consume(READ_AT_ONCE, timeout=0.2)
        records = [_record(message) for message in messages if message.error() is None]
        reached = len(records) < len(messages) or any(record.offset >= stop - 1 for record in records)
        records = [record for record in records if record.offset < stop]
        if records:
            seen.fresh(admission.admit(records)[0])


def _record(message: Message) -> Record:
    return Record(message.offset() or 0, message.timestamp()[1] * 1000, message.key(), message.value())
