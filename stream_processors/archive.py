"""The archive role: accepted events to date-partitioned Parquet, each exactly once.

The same admission and the same duplicate horizon as the features role, so that the archive holds what the state holds.
Files first, their marker after them, the commit last: a kill in between leaves files that no marker names.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from churn.admission import Admission, Admitted
from churn.declaration import Declaration
from churn.duplicates import DuplicateFilter
from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.records import Record
from churn.settings import Settings
from churn.topics import ACTIVITY, DEAD_LETTERS
from feature_repo.instruments import Instruments
from stream_processors.reading import committed_offsets
from stream_processors.remembering import Log, remember_ids
from stream_processors.segments import SegmentWriter

SEGMENT_EVENTS = 250_000
"""Events per partition that make a segment full: about 8 MB of Parquet."""
DRAINED_US = 3_000_000
"""A backlog that has been drained is written 3 s later, not only when the flush interval ends."""


@dataclass
class OpenSegment:
    """Admitted events of a partition that are not in a file yet, and the range of offsets they come from."""

    start: int
    end: int
    seen: DuplicateFilter
    batches: list[Admitted] = field(default_factory=list)
    events: int = 0
    opened_us: int = 0
    touched_us: int = 0
    drained: bool = True
    flushing: bool = False


class ArchiveRole:
    """Owns partitions of the activity topic, in a consumer group of its own."""

    name = "archive"
    round_seconds = 0.5  # nobody waits for the archive

    def __init__(
        self, settings: Settings, declaration: Declaration, instruments: Instruments, wall_us: Callable[[], int]
    ) -> None:
        self.topic = ACTIVITY.name(settings.topic_prefix)
        self._config, self._letters = client_config(settings), DEAD_LETTERS.name(settings.topic_prefix)
        self._group = f"{settings.topic_prefix}-{self.name}"
        self._admission = Admission(layout_of(declaration), settings.max_future_minutes * 60_000_000)
        self._writer = SegmentWriter(settings.archive_dir, declaration)
        self._instruments, self._wall_us = instruments, wall_us
        self._flush_us = settings.archive_flush_seconds * 1_000_000
        self._open: dict[int, OpenSegment] = {}
        self._durable: dict[int, int] = {}
        self._problem = ""
        self._retry_us = 0

    async def acquire(self, partitions: Iterable[int], generation: int) -> Mapping[int, int]:
        """Start at the committed offsets, with the event ids before them remembered."""
        wanted = list(partitions)
        committed = await asyncio.to_thread(committed_offsets, self._config, self._group, self.topic, wanted)
        opened = await asyncio.gather(*(asyncio.to_thread(self._reopen, p, committed[p]) for p in wanted))
        self._open = dict(zip(wanted, opened, strict=True))
        self._durable = {p: o for p, o in self._durable.items() if p in self._open}
        return {p: segment.start for p, segment in self._open.items()}

    def _reopen(self, partition: int, offset: int) -> OpenSegment:
        seen = DuplicateFilter()
        remember_ids(Log(self._config, self.topic, self._letters, partition), offset, self._admission, seen)
        return OpenSegment(offset, offset, seen)

    async def release(self, partitions: Iterable[int]) -> None:
        """Write what is open."""
        for number in [p for p in partitions if p in self._open]:
            try:
                await self._flush(number)
            except OutageError as error:
                self._problem = str(error)
            del self._open[number]
            self._instruments.forget("churn_consumer_lag_records", partition=str(number))

    async def process(self, partition: int, records: Sequence[Record], end_offset: int) -> None:
        """Admit a batch into the open segment."""
        segment = self._open.get(partition)
        if segment is None or records[0].offset < segment.end:
            return
        admitted, _ = self._admission.admit(records)
        fresh = segment.seen.fresh(admitted)
        self._append(segment, admitted if fresh.all() else admitted.take(fresh), records[-1].offset + 1)
        segment.drained = segment.end >= end_offset
        self._instruments.set("churn_consumer_lag_records", max(0, end_offset - segment.end), partition=str(partition))
        while segment.events >= SEGMENT_EVENTS and not await self._try_flush(partition):
            # The disk is full or away: reading stops here, nothing is committed, nothing is lost.
            await asyncio.sleep(1.0)

    def _append(self, segment: OpenSegment, admitted: Admitted, end: int) -> None:
        wall_us = self._wall_us()
        segment.opened_us = segment.opened_us if segment.end > segment.start else wall_us
        segment.touched_us = wall_us
        segment.batches.append(admitted)
        segment.events += len(admitted)
        segment.end = end

    async def tick(self) -> None:
        """Write segments that have waited long enough."""
        wall_us = self._wall_us()
        if wall_us < self._retry_us:
            return
        for number, segment in list(self._open.items()):
            waited = wall_us - segment.opened_us >= self._flush_us
            settled = segment.drained and segment.events >= 10_000 and wall_us - segment.touched_us >= DRAINED_US
            if segment.end > segment.start and (waited or settled):
                await self._try_flush(number)

    async def _try_flush(self, number: int) -> bool:
        try:
            await self._flush(number)
        except OutageError as error:
            self._problem = str(error)
            self._retry_us = self._wall_us() + 1_000_000
            return False
        self._problem = ""
        return True

    async def _flush(self, number: int) -> None:
        segment = self._open[number]
        if segment.end == segment.start or segment.flushing:
            return
        segment.flushing = True
        # A copy: batches that arrive while the thread writes belong to the next segment.
        batches, count, start, end = list(segment.batches), segment.events, segment.start, segment.end
        try:
            await asyncio.to_thread(self._writer.write, number, start, end, batches)
        finally:
            segment.flushing = False
        segment.batches = segment.batches[len(batches) :]
        segment.events -= count
        segment.start = end
        self._durable[number] = end
        self._instruments.count("churn_archived_events", count)
        self._instruments.count("churn_archive_segments")

    def committable(self) -> Mapping[int, int]:
        """Return the offsets below which everything is archived."""
        return self._durable

    def not_ready(self) -> list[str]:
        """Return why the role cannot do its work."""
        reasons = [f"archive: {self._problem}"] if self._problem else []
        return reasons if self._open else ["no partition is assigned yet", *reasons]

    def close(self) -> None:
        """Nothing is held open between segments."""
