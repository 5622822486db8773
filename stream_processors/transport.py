"""Faust's own Kafka transport, delivering one fetch of one partition as ONE message.

Stock delivery makes two asyncio tasks per record, which caps a worker at about 14,000 events/s with an empty agent.
Here a message's value is the list of records, offsets are committed from finished checkpoints instead of acks, and the
seek after a rebalance asks the role where its state stands. Assignment, rebalancing and liveness stay Faust's.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import faust
import numpy as np
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

from churn.fault_points import passing
from churn.records import Records
from stream_processors.letters import Headers

FULL_BUFFER_POLL_SECONDS = 0.005
"""How soon a full buffer is looked at again; stock Faust sleeps 1 s, which would be the freshness of everyone."""
MAX_UNPROCESSED_BATCHES = 8
"""Reading rests while so many batches wait. Faust would pause partitions, and the client then drops what it has fetched
for them and fetches it again."""


MANY_RECORDS = 1000
"""A fetch of so many is worth its price: the next one follows at once, or a backlog would be worked off at a walk."""


class FetchedRecords(PartitionRecords):
    """Hands out records as they were parsed: the client's own record class costs 1.3 us apiece to fill."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


# The client offers no parameter for it. Every consumer of aiokafka in this process is ours: Faust runs no other.
fetcher.PartitionRecords = FetchedRecords


class Batch(Records):
    """Records of one partition as the client parsed them."""

    def __init__(self, fetched: Sequence[Any]) -> None:
        super().__init__(
            np.array([record.offset for record in fetched], np.int64),
            np.array([record.timestamp for record in fetched], np.int64) * 1000,
            [record.key for record in fetched],
            [record.value for record in fetched],
        )
        self._fetched = fetched

    def headers(self) -> dict[int, Headers]:
        """Return the headers of the records that have some, by offset.

        Only refused records are asked for theirs; a field of every record would cost each event 0.1 us.
        """
        return {record.offset: record.headers for record in self._fetched if record.headers}


def pause_seconds(records: int, round_seconds: float) -> float:
    """Return how long the next fetch keeps away from one that brought so many records.

    >>> pause_seconds(3, 0.5), pause_seconds(1000, 0.5)
    (0.5, 0.0)
    """
    return round_seconds if records < MANY_RECORDS else 0.0


class Positions(Protocol):
    """What the transport asks the owner of the partitions.

    Attributes:
        round_seconds: fetches begin at least so far apart: a batch of one record costs as much as 300 more records in it
            would (1.2 ms). A lone record is not held up, as no other came just before it.
    """

    name: str
    round_seconds: float

    async def acquire(self, partitions: Iterable[int], generation: int) -> Mapping[int, int]:
        """Load what is needed for these partitions; returns the offsets to start from (absent: the committed one)."""

    def committable(self) -> Mapping[int, int]:
        """Return the offsets below which every effect is durable."""


class RawSchema(faust.Schema[Any, Any]):
    """Hands keys and values on as they are."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:
        """Return the key."""
        return message.key

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:
        """Return the value: a batch."""
        return message.value


class BatchConsumer(Consumer):
    """Yields batches; commits what the role declares durable."""

    positions: Positions
    topic: str
    _next_round: float = 0.0

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Yield one message per partition of a fetch."""
        if len(self._unacked_messages) >= MAX_UNPROCESSED_BATCHES:
            await asyncio.sleep(FULL_BUFFER_POLL_SECONDS)
            return
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._next_round - clock()))
        records, _ = await self._wait_next_records(timeout)
        self._next_round = clock() + pause_seconds(sum(map(len, records.values())), self.positions.round_seconds)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop or not self.flow_active:
            return
        for tp, fetched in records.items():
            if not fetched:
                continue
            if not self.flow_active or self.app.consumer_generation_id != generation:
                break
            yield tp, self._to_batch(tp, fetched, generation)

    async def _wait_next_records(self, timeout: float) -> Any:
        if not self.app.client_only and self.flow_active and not self._get_active_partitions():
            await asyncio.sleep(FULL_BUFFER_POLL_SECONDS)
            return {}, set()
        return await super()._wait_next_records(timeout)

    def _to_batch(self, tp: TP, fetched: list[Any], generation: int) -> ConsumerMessage:
        batch: Any = Batch(fetched)
        first = fetched[0]
        return ConsumerMessage(
            tp.topic, tp.partition, first.offset, first.timestamp / 1000, first.timestamp_type, [], None, batch, None, 0, 0, tp,
            # Faust drops a message without a generation silently.
            generation_id=generation,
        )  # fmt: skip

    def ack(self, message: Message) -> bool:
        """Mark a batch as processed; what may be committed is decided by checkpoints."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the offsets whose effects are durable."""
        offsets = {TP(self.topic, p): o for p, o in self.positions.committable().items()}
        mine = {tp: o for tp, o in offsets.items() if tp in self.assignment() and o > (self._committed_offset[tp] or 0)}
        if not mine:
            return False
        passing(f"{self.positions.name}.before_group_commit")
        if not await self._commit(mine):
            return False
        passing(f"{self.positions.name}.after_group_commit")
        self._committed_offset.update(mine)
        return True

    async def perform_seek(self) -> None:
        """Seek every assigned partition to where its state stands."""
        await super().perform_seek()
        partitions = sorted(tp.partition for tp in self.assignment() if tp.topic == self.topic)
        found = await self.positions.acquire(partitions, self.app.consumer_generation_id)
        starts = {TP(self.topic, p): o for p, o in found.items()}
        if starts:
            await self.seek_wait(starts)
            self._read_offset.update({tp: o or None for tp, o in starts.items()})

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Ignore gaps: transaction markers and compaction leave them, and batches do not count single offsets."""

    async def verify_all_partitions_active(self) -> None:
        """Skip stock liveness warnings, which count single acks; lag and readiness are exported instead."""


class BatchTransport(Transport):
    """Makes batch consumers."""

    Consumer = BatchConsumer


class NoTables(TableManager):
    """Starts at once: stock Faust gives an application 1 s to declare tables, at every start."""

    async def on_start(self) -> None:
        """Start reading; there is nothing to recover."""
        await self._update_channels()
        await self.recovery.start()


class BatchApp(faust.App):
    """A Faust application on the batch transport, for one topic and one owner of its partitions."""

    def __init__(self, *args: Any, positions: Positions, batch_topic: str, **kwargs: Any) -> None:
        self._positions = positions
        self._batch_topic = batch_topic
        super().__init__(*args, **kwargs)

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_consumer(self) -> Any:
        consumer = cast(BatchConsumer, super()._new_consumer())
        consumer.positions, consumer.topic = self._positions, self._batch_topic
        return consumer
