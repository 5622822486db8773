"""Copying every event to topics of another prefix and number of partitions, each once, while the system runs on.

A user's partition follows from the number of partitions, and state, archive, guards and `source_offset` are all said of a
partition. So another number takes another activity topic, on which every event lies where its user now belongs; state,
vectors and archive follow from it as from any other. Where the topic was enlarged, a user's events lie on two of its
partitions, and come together again.

Copies keep event id, time and content, and arrive now. They are sent in the order of their partition's watermark, so that
midnights pass on the new partitions as they passed on the old ones. Each copy says in a header where it was copied from: a
copy that was killed, or that is repeated to fetch what came since, sends exactly what is not there yet.
"""

import heapq
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.admission import Admission
from churn.declaration import Declaration
from churn.duplicates import DuplicateFilter
from churn.errors import DataError, InputError
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.records import Record
from churn.settings import Settings
from stream_processors.history import History
from stream_processors.outputs import Output
from stream_processors.remembering import partition_counts

COPIED_FROM = "churn-copied-from"
EVENTS_PER_POLL = 4096

Ends = dict[int, tuple[int, int]]
Done = dict[int, npt.NDArray[np.bool_]]
"""By partition, of which offsets a copy lies on the new topic; a byte an offset."""


@dataclass(frozen=True)
class Moved:
    """What became of a copy; `before` were copied by an earlier one."""

    partitions: int
    copied: int
    before: int


class Mover:
    """Copies the events of one prefix to another."""

    def __init__(
        self, source: Settings, target: Settings, declaration: Declaration, progress: Callable[[int], object]
    ) -> None:
        self._config, self._target = client_config(source), target
        self._from, self._to = History(source), History(target)
        self._admission = Admission(layout_of(declaration), source.max_future_minutes * 60_000_000)
        self._progress = progress

    def move(self) -> Moved:
        """Copy what is not there yet of everything that is on the topic or in the archive now.

        Raises:
            InputError: there is no topic to copy; DataError: events, or the copies of an earlier call, are gone.
            OutageError: Kafka does not answer; call again, nothing is copied twice.
        """
        count = partition_counts(self._config, [self._from.topic])[self._from.topic]
        if not count:
            raise InputError(f"topic {self._from.topic} does not exist; set CHURN_TOPIC_PREFIX to what is to be copied")
        ends = {number: self._from.ends(number) for number in range(count)}
        done = self._done(ends)
        output, copied, before = Output(self._config), 0, 0
        for _, number, offset, record in heapq.merge(*(self._events(n, *ends[n]) for n in ends)):
            if done[number][offset]:
                before += 1
                continue
            place = [(COPIED_FROM, f"{self._from.topic}:{number}:{offset}")]
            output.send(self._to.topic, record.key, record.value, headers=place)
            copied += 1
            if copied % EVENTS_PER_POLL == 0:
                output.poll()
                self._progress(copied)
        output.flush()
        return Moved(count, copied, before)

    def _events(self, number: int, low: int, end: int) -> Iterator[tuple[int, int, int, Record]]:
        """Yield (watermark, partition, offset, record) of each accepted event, in the order of the offsets."""
        seen, watermark_us = DuplicateFilter(), 0
        for records in self._records(number, low, end):
            admitted, _ = self._admission.admit(records)
            fresh, place = seen.fresh(admitted), {record.offset: record for record in records}
            for offset, occurred_us in zip(
                admitted.offsets[fresh].tolist(), admitted.occurred_us[fresh].tolist(), strict=True
            ):
                watermark_us = max(watermark_us, occurred_us)
                yield watermark_us, number, offset, place[offset]

    def _records(self, number: int, low: int, end: int) -> Iterator[list[Record]]:
        yield from self._from.archived(number, low)
        yield from self._from.log(number, low, end)

    def _done(self, ends: Ends) -> Done:
        done = {number: np.zeros(end, np.bool_) for number, (_, end) in ends.items()}
        for number in range(self._target.partitions):
            for source, offset in self._copies(number):
                done[source][offset] = True
        return done

    def _copies(self, number: int) -> Iterator[tuple[int, int]]:
        """Yield of which places of the source copies lie on a partition of the new topic."""
        low, end = self._to.ends(number)
        if low:
            raise DataError(
                f"{self._to.topic} partition {number} begins at offset {low}: which events were copied there before cannot be"
                " told any more; copy to another prefix"
            )
        for messages in self._to.messages(number, 0, end):
            for message in messages:
                pairs: Collection[tuple[str, bytes]] = message.headers() or []  # type: ignore[assignment]  # a mapping is only ever given, never read
                topic, _, place = dict(pairs).get(COPIED_FROM, b"").decode().partition(":")
                if topic == self._from.topic:
                    source, _, offset = place.partition(":")
                    yield int(source), int(offset)
