"""One partition of the stream as a pure state machine: events and time in, vectors and labels out.

The clock of a partition is its watermark. Records of one batch that cross midnight are applied day by day, so that the
vectors emitted at a midnight cover exactly the events before it, whatever the sizes of the batches. An event of that
very midnight is not before it and puts the clock a microsecond past it: no vector that holds it is as of the midnight.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from churn.admission import Admitted
from churn.blocks import Kind
from churn.declaration import ACTIVITY_COUNTER
from churn.duplicates import DuplicateFilter
from churn.features import FeaturePlan, UserFacts
from churn.layout import DAY_US, NEVER, Floats, Int64s, Layout
from churn.midnight import STEP_USERS, Midnight
from churn.packing import unpack
from churn.slab import Slab
from churn.tiles import Slots, grown

Bits = npt.NDArray[np.uint8]
ALL_BITS = 255


@dataclass(frozen=True, slots=True)
class Emission:
    """Vectors of some users at one time; `arrived_us` is the arrival of the oldest event that is new in them.

    `changed` are packed bits [n, features]: what differs from the vector emitted before; None: take all of it.
    """

    kind: Kind
    as_of_us: int
    source_offset: int
    arrived_us: int
    slots: Slots
    matrix: Floats
    changed: Bits | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """Which users were silent over the horizon that ended at `known_at_us`."""

    as_of_us: int
    known_at_us: int
    slots: Slots
    churned: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Departures:
    """Users who were silent for so long that the state has forgotten them; the slots are free again."""

    users: list[str]
    slots: Slots


Effect = Emission | Labels | Departures


@dataclass(slots=True)
class Tally:
    """What happened to events since the last look."""

    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    expired: int = 0
    rolls: int = 0
    departed: int = 0


@dataclass(slots=True)
class Clock:
    """The watermark and the arrival of the record that set it."""

    watermark_us: int = 0
    arrived_us: int = 0

    def at(self, wall_us: int) -> int:
        """Return the partition's time: the watermark, moved on at the pace of the wall clock since it was set.

        In live traffic this is the wall clock less the usual delay; in a replay of the past it stays in the past.
        """
        return self.watermark_us + max(0, wall_us - self.arrived_us)


@dataclass
class Partition:
    """State of one partition: users, their last emitted vectors, and what changed since the last checkpoint.

    At the midnight of day D users whose latest fact is of a day before D - `user_ttl_days` are forgotten (0: nobody is);
    one who returns starts anew, as a user never seen before.
    """

    layout: Layout
    number: int
    next_offset: int = 0
    clock: Clock = field(default_factory=Clock)
    tally: Tally = field(default_factory=Tally)
    user_ttl_days: int = 0

    def __post_init__(self) -> None:
        self.slab = Slab(self.layout, 0)
        self.plan = FeaturePlan(self.layout)
        self.duplicates = DuplicateFilter()
        self._activity = self.layout.counter(ACTIVITY_COUNTER)
        self._horizon = self.layout.declaration.label.horizon_days
        self._emitted: Floats = np.zeros((0, len(self.plan.names)), np.float32)
        self._emitted_as_of_us: Int64s = np.zeros(0, np.int64)
        self._touched = np.zeros(0, np.bool_)
        self._unsaved = np.zeros(0, np.bool_)
        self._oldest_arrival_us = 0
        self._midnight: Midnight | None = None
        self._restored, self._restored_left = np.zeros(0, np.bool_), 0

    @property
    def users(self) -> int:
        """Return the number of slots, those that users have left included."""
        return len(self.slab)

    @property
    def present(self) -> int:
        """Return the number of users known."""
        return len(self.slab.slot_of)

    def restore(self, clock: Clock, next_offset: int, users: Sequence[str], values: Sequence[bytes]) -> None:
        """Continue from a checkpoint: what was emitted last follows from the state itself."""
        self.clock, self.next_offset = clock, next_offset
        self.slab.day = clock.watermark_us // DAY_US
        if users:
            unpack(self.slab, users, values)
            self._reserve()
            self._restored, self._restored_left = np.ones(self.users, np.bool_), self.users

    def emitted(self, slots: Slots) -> tuple[Floats, Int64s]:
        """Return the last emitted vectors of these users, and as of when."""
        self._recall(slots, self.slab.day)
        return self._emitted.take(slots, axis=0), self._emitted_as_of_us[slots]

    def _recall(self, slots: Slots, day: int) -> None:
        """Compute what was emitted last of those users who were restored and not looked at since.

        It follows from their state. To compute it for everybody before the first event would cost 1.5 s a million users.
        """
        slots = self._take_restored(slots)
        if len(slots):
            self._emitted[slots] = self.plan.compute(self.slab.facts(slots, day))
            self._emitted_as_of_us[slots] = min(self.clock.watermark_us, (day + 1) * DAY_US - 1)

    def _take_restored(self, slots: Slots) -> Slots:
        if not len(self._restored):
            return self._restored.nonzero()[0]
        slots = slots[slots < len(self._restored)]
        slots = slots[self._restored[slots]]
        self._restored[slots] = False
        self._restored_left -= len(slots)
        if not self._restored_left:
            self._restored = self._restored[:0]
        return slots

    def ingest(self, batch: Admitted, next_offset: int, *, in_steps: bool = False) -> Iterator[Effect]:
        """Apply admitted events; yields what each midnight that they cross brings.

        Exhaust the iterator: events after a midnight are applied after its emissions were taken. With `in_steps` the
        last midnight is left to `step`, but for the users who have events: theirs never wait for it.
        """
        fresh = self.duplicates.fresh(batch)
        if not fresh.all():
            self.tally.duplicate += int((~fresh).sum())
            batch = batch.take(fresh)
        watermark = np.maximum.accumulate(np.concatenate([[self.clock.watermark_us], _clock_times_us(batch)]))[1:]
        turns = np.flatnonzero(np.diff(watermark // DAY_US, prepend=self.slab.day)).tolist()
        start = 0
        for stop in [*turns, len(batch)]:
            if stop > start:
                part = batch.between(start, stop)
                yield from self._roll_users_of(part)
                self._apply(part, int(watermark[stop - 1]))
            if stop < len(batch):
                yield from self._turn(int(watermark[stop]) // DAY_US, int(batch.offsets[stop]))
                if not in_steps:
                    yield from self.finish()
            start = stop
        self.next_offset = next_offset

    def _apply(self, batch: Admitted, watermark_us: int) -> None:
        if len(self._restored):
            self._recall(np.unique(self.slab.known_slots([event.user_id for event in batch.events])), self.slab.day)
        applied = self.slab.apply(batch)
        self._reserve()
        self._touched[applied.slots] = True
        self._unsaved[applied.slots] = True
        arrived = int(batch.arrived_us[0])
        self._oldest_arrival_us = self._oldest_arrival_us or arrived
        if watermark_us > self.clock.watermark_us:
            self.clock = Clock(watermark_us, int(batch.arrived_us[-1]))
        self.tally.accepted += len(batch)
        self.tally.late += applied.late
        self.tally.expired += applied.expired

    def _reserve(self) -> None:
        if self.users > len(self._touched):
            self._touched, self._unsaved = grown(self._touched, self.users), grown(self._unsaved, self.users)
            self._emitted = grown(self._emitted, self.users)
            self._emitted_as_of_us = grown(self._emitted_as_of_us, self.users)

    def advance(self, wall_us: int, *, in_steps: bool = False) -> Iterator[Effect]:
        """Let time pass without events; yields what a midnight brings.

        With `in_steps` at most one midnight passes, and most of it is left to `step`.
        """
        day = self.clock.at(wall_us) // DAY_US
        if self.clock.watermark_us and day > self.slab.day:
            until = self._next_day(day) if in_steps else day
            # The pair moves together: the watermark stands at midnight when the wall clock stands there.
            ahead = until * DAY_US - self.clock.watermark_us
            self.clock = Clock(until * DAY_US, self.clock.arrived_us + ahead)
            yield from self._turn(until, self.next_offset)
            if not in_steps:
                yield from self.finish()

    def _next_day(self, day: int) -> int:
        # After 62 days without an event nothing but capped ages changes, tiles and calendar being empty: the last midnights
        # are enough.
        return max(self.slab.day + 1, day - 62) if self.users else day

    def _turn(self, day: int, offset: int) -> Iterator[Effect]:
        """Step over each midnight up to `day`, the last one begun alone; a first event only sets the day."""
        while self.slab.day < day:
            yield from self.finish()
            self.slab.advance(self._next_day(day))
            if self.users:
                yield from self._begin(offset)

    def _begin(self, offset: int) -> Iterator[Effect]:
        """Begin a midnight with the users whose events were not emitted yet: they must not wait, nor come after it."""
        self.tally.rolls += 1
        arrived, self._oldest_arrival_us = self._oldest_arrival_us, 0
        self._midnight = Midnight(self.slab.day, offset, arrived, self.slab.occupied())
        touched = self._midnight.take(np.flatnonzero(self._touched[: self.users]))
        for start in range(0, len(touched), STEP_USERS):
            yield from self._roll(self._midnight, touched[start : start + STEP_USERS])

    def _roll_users_of(self, batch: Admitted) -> Iterator[Effect]:
        """Take the users of these events over a midnight that is not done: their events are after it."""
        if self._midnight is not None:
            slots = self._midnight.take(self.slab.known_slots([event.user_id for event in batch.events]))
            if len(slots):
                yield from self._roll(self._midnight, slots)

    @property
    def rolling(self) -> bool:
        """Tell whether a midnight is not done: neither save the state meanwhile nor ask for a refresh."""
        return self._midnight is not None

    def step(self, most: int = STEP_USERS) -> Iterator[Effect]:
        """Yield what a midnight that is not done brings to at most so many more users."""
        midnight = self._midnight
        if midnight is not None:
            slots = midnight.take_next(most)
            if len(slots):
                yield from self._roll(midnight, slots)
            if midnight.done:
                self._midnight = None

    def finish(self) -> Iterator[Effect]:
        """Yield all that a midnight that is not done still brings."""
        while self._midnight is not None:
            yield from self.step()

    def _roll(self, midnight: Midnight, slots: Slots) -> Iterator[Effect]:
        departures = self._forget(slots, midnight.day)
        if len(departures.slots):
            yield departures
            slots = slots[self.slab.offsets[slots] >= 0]
        self._recall(slots, midnight.day - 1)
        facts = self.slab.facts(slots)
        yield self._mature(facts, slots)
        changed = self._changed(midnight, facts, slots)
        if len(changed.slots):
            yield changed

    def _forget(self, slots: Slots, today: int) -> Departures:
        if not self.user_ttl_days:
            return Departures([], np.zeros(0, np.intp))
        gone = slots[self.slab.last_days(slots) < today - self.user_ttl_days]
        departures = Departures(self.names(gone), gone)
        self.slab.remove(gone)
        self._touched[gone] = self._unsaved[gone] = False
        self._take_restored(gone)
        self._emitted_as_of_us[gone] = 0
        self.tally.departed += len(gone)
        return departures

    def _changed(self, midnight: Midnight, facts: UserFacts, slots: Slots) -> Emission:
        as_of_us, matrix = midnight.day * DAY_US, self.plan.compute(facts)
        different = _different(matrix, self._emitted.take(slots, axis=0))
        rows = np.flatnonzero(different.any(axis=1) | self._touched[slots])
        slots, matrix = slots[rows], matrix[rows]
        changed = self._packed(different[rows], slots)
        self._emitted[slots] = matrix
        self._emitted_as_of_us[slots] = as_of_us
        self._touched[slots] = False
        return Emission("roll", as_of_us, midnight.source_offset, midnight.arrived_us, slots, matrix, changed)

    def _packed(self, different: npt.NDArray[np.bool_], slots: Slots) -> Bits:
        packed = np.packbits(different, axis=1)
        packed[self._emitted_as_of_us[slots] == 0] = ALL_BITS
        return packed

    def _mature(self, facts: UserFacts, slots: Slots) -> Labels:
        """Label users as of `horizon` days ago: silent on all full days since."""
        last, first, today = facts.lasts[:, self._activity], facts.firsts[:, self._activity], facts.day
        as_of = today - self._horizon
        known = np.flatnonzero((last != NEVER) & (first < as_of) & (last >= as_of - self._horizon))
        users, ages = facts.active.places
        shown = (facts.active.units[:, self._activity] > 0) & (ages >= 1) & (ages <= self._horizon)
        active = np.zeros(len(slots), np.bool_)
        active[users[shown]] = True
        return Labels(as_of * DAY_US, today * DAY_US, slots[known], ~active[known])

    def updates(self) -> Emission | None:
        """Return the vectors of users whose events were not emitted yet."""
        slots = np.flatnonzero(self._touched[: self.users])
        if not len(slots):
            return None
        return self._emit("update", slots)

    def refresh(self) -> Emission | None:
        """Return the vectors of all users, for a reader that must start anew."""
        if not self.present:
            return None
        return self._emit("refresh", np.flatnonzero(self.slab.occupied()))

    def _emit(self, kind: Kind, slots: Slots) -> Emission:
        self._reserve()
        self._take_restored(slots)
        matrix = self.plan.compute(self.slab.facts(slots))
        changed = (
            None if kind == "refresh" else self._packed(_different(matrix, self._emitted.take(slots, axis=0)), slots)
        )
        self._emitted[slots] = matrix
        self._emitted_as_of_us[slots] = self.clock.watermark_us
        self._touched[slots] = False
        arrived, self._oldest_arrival_us = self._oldest_arrival_us, 0
        return Emission(kind, self.clock.watermark_us, self.next_offset, arrived, slots, matrix, changed)

    def take_unsaved(self) -> Slots:
        """Return the users changed since the last call, for a checkpoint."""
        # A failed checkpoint may have given back slots that were left since.
        slots = np.flatnonzero(self._unsaved[: self.users] & self.slab.occupied())
        self._unsaved[: self.users] = False
        return slots

    def mark_unsaved(self, slots: Slots) -> None:
        """Give back users whose checkpoint failed."""
        self._unsaved[slots] = True

    def names(self, slots: Slots) -> list[str]:
        """Return the user ids of these slots."""
        names = self.slab.names
        return [names[slot] for slot in slots.tolist()]


def _clock_times_us(batch: Admitted) -> Int64s:
    """Return where each event puts the clock: at its own time, but just past a midnight, whose vectors are without it."""
    return np.where(batch.occurred_us == batch.days * DAY_US, batch.occurred_us + 1, batch.occurred_us)


def _different(matrix: Floats, former: Floats) -> npt.NDArray[np.bool_]:
    """Tell which values changed: bits, not values, so that NaN equals NaN."""
    return np.not_equal(matrix.view(np.int32), former.view(np.int32))
