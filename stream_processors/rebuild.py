"""Building the state anew, by the present declaration, from the archive and the log.

State is a fold over accepted events in the order of their offsets. What the topic still holds is read from the topic, and
admitted by the present declaration; only what its retention has dropped is read from the archive. The archive holds the
accepted events of every offset below its end, in the same order, so the fold is the one that a worker would have made.

The fold runs beside the workers. Then the partition is claimed, which stops its former owner, the fold goes on to the
end of the topic, and one transaction replaces all users and the partition's own record. A kill before it leaves the old
state, and after it the new one; a rebuild may be repeated.
"""

from dataclasses import dataclass

import numpy as np

from churn.admission import Admission, Refusal
from churn.declaration import Declaration
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.packing import PartitionMeta, hold, pack
from churn.partition import Partition
from churn.records import Record
from churn.settings import Settings
from churn.summary import summary
from churn.topics import DEAD_LETTERS, USER_STATE
from stream_processors.changelog import Changelog, Stored, read
from stream_processors.history import History
from stream_processors.letters import DeadLetter, Ration, letter_of


@dataclass(frozen=True)
class Rebuilt:
    """What became of one partition: `read_from` is where the topic began, below it events came from the archive."""

    partition: int
    users: int
    archived_events: int
    read_from: int
    next_offset: int


class Rebuilder:
    """Rebuilds partitions, one at a time."""

    def __init__(self, settings: Settings, declaration: Declaration) -> None:
        prefix = settings.topic_prefix
        self._config, self._settings = client_config(settings), settings
        self._history, self._state = History(settings), USER_STATE.name(prefix)
        self._letters = DEAD_LETTERS.name(prefix)
        self._layout, self._declaration = layout_of(declaration), declaration
        self._refused: list[Refusal] = []
        self._first_unread = 0
        self.admission = Admission(self._layout, settings.max_future_minutes * 60_000_000)

    def rebuild(self, number: int) -> Rebuilt:
        """Build one partition anew and put it in the place of its old state.

        Raises:
            DataError: events are neither in the archive nor on the topic.
            OutageError: Kafka does not answer; nothing has changed, run it again.
        """
        low, end = self._history.ends(number)
        # The owner has written the letters of everything below; the rest is refused here for the first time.
        before = read(self._config, self._state, number).meta
        self._refused, self._first_unread = [], before.next_offset if before else 0
        state = Partition(self._layout, number, user_ttl_days=self._settings.user_ttl_days)
        archived_events = self._fold_archive(state, low)
        self._fold_log(state, low, end)
        changelog = Changelog(self._config, self._state, number, self._letters)
        try:
            changelog.claim()
            # The former owner has stopped; what it read in the meantime is read here too.
            self._fold_log(state, end, self._history.ends(number)[1])
            self._replace(state, changelog, read(self._config, self._state, number))
        finally:
            changelog.close()
        return Rebuilt(number, state.present, archived_events, low, state.next_offset)

    def _fold_archive(self, state: Partition, below: int) -> int:
        events = 0
        for records in self._history.archived(state.number, below):
            events += len(records)
            self._fold(state, records)
        state.next_offset = below
        return events

    def _fold_log(self, state: Partition, start: int, stop: int) -> None:
        for records in self._history.log(state.number, start, stop):
            self._fold(state, records)
        state.next_offset = max(state.next_offset, stop)

    def _fold(self, state: Partition, records: list[Record]) -> None:
        admitted, refusals = self.admission.admit(records)
        self._refused += [refusal for refusal in refusals if refusal.record.offset >= self._first_unread]
        for _ in state.ingest(admitted, records[-1].offset + 1):
            pass  # vectors and labels of past midnights were emitted by the owner of that time

    def _replace(self, state: Partition, changelog: Changelog, stored: Stored) -> None:
        _catch_up(state, stored.meta)
        slots = np.flatnonzero(state.slab.occupied())
        users, present = state.names(slots), state.slab.slot_of
        gone = [user for user in (key.decode() for key in stored.users) if user not in present]
        clock, epoch = state.clock, stored.meta.epoch + 1 if stored.meta else 1
        meta = PartitionMeta(
            self._declaration.feature_set_version, self._settings.partitions, state.next_offset, clock.watermark_us,
            clock.arrived_us, epoch, unemitted=True, rebuilt_below=state.next_offset,
        )  # fmt: skip
        values = [*[None] * len(gone), *pack(hold(state.slab, slots))]
        changelog.write(
            [*gone, *users], values, meta, self._new_letters(stored.meta, state.number), summary(self._declaration)
        )

    def _new_letters(self, stored: PartitionMeta | None, number: int) -> list[DeadLetter]:
        first = stored.next_offset if stored else 0
        new = Ration().kept([refusal for refusal in self._refused if refusal.record.offset >= first])
        return [letter_of(self._history.topic, number, refusal) for refusal in new]


def _catch_up(state: Partition, meta: PartitionMeta | None) -> None:
    """Step over the midnights that the former owner has stepped over: their labels were emitted."""
    ahead_us = meta.watermark_us - state.clock.watermark_us if meta else 0
    if ahead_us > 0:
        for _ in state.advance(state.clock.arrived_us + ahead_us):
            pass
