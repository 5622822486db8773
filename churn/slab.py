"""The state of one partition's users as contiguous arrays, with a slot per user."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

from churn.admission import Admitted
from churn.declaration import ACTIVITY_COUNTER, TILE_DAYS, Register
from churn.features import UserFacts
from churn.increments import Added, Increments
from churn.layout import CODE_BITS, DAY_US, NEVER, NEVER_YET, RING_DAYS, Int32s, Int64s, Layout
from churn.rhythm import CALENDAR_DAYS, ages_of, bit_of, bits_between
from churn.tiles import Slots, Tiles, grown

FIRST_CAPACITY = 1024
CALENDAR, FIRST_REGISTER = 1, 2
"""Places in a user's head; the offset is at 0."""
OTHER_CODE = (1 << CODE_BITS) - 1
"""The code of an attribute value that the declaration does not list."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one batch did: the slot of each event, and how many events were late or older than every tile."""

    slots: Slots
    late: int
    expired: int


class Slab:
    """Tiles, totals and registers of the users of one partition; `day` is the UTC day number of today."""

    def __init__(self, layout: Layout, day: int) -> None:
        self.layout = layout
        self.day = day
        self.slot_of: dict[str, int] = {}
        self.names: list[str] = []
        self._free: list[int] = []
        self._increments = Increments(layout)
        self._type_codes = [_codes(register, layout.event_types) for register in layout.declaration.registers.values()]
        self._activity = layout.counter(ACTIVITY_COUNTER)
        self.tiles = Tiles(len(layout.counters))
        self._empty = self._empty_head()
        self._heads: Int64s = np.zeros((0, len(self._empty)), np.int64)
        self.reserve(FIRST_CAPACITY)

    def __len__(self) -> int:
        return len(self.names)

    def reserve(self, users: int) -> None:
        """Make room for this many users."""
        if users > len(self._heads):
            self._heads = grown(self._heads, users)
            self.tiles.reserve(len(self._heads))
            self._view()

    def _view(self) -> None:
        """Name the parts of a user's head; it is one run of memory, so that an event touches few cache lines."""
        counters, words = len(self.layout.counters), self._heads
        halves = words.view(np.int32)
        first_total, first_last = FIRST_REGISTER + len(self.layout.registers), 2 * (words.shape[1] - counters)
        self.offsets: Int64s = words[:, 0]
        self.calendars: Int64s = words[:, CALENDAR]
        self.registers: Int64s = words[:, FIRST_REGISTER:first_total]
        self.totals: Int64s = words[:, first_total : first_total + counters]
        self.lasts: Int32s = halves[:, first_last : first_last + counters]
        self.firsts: Int32s = halves[:, first_last + counters :]
        self._flat, self._flat_halves = words.reshape(-1), halves.reshape(-1)
        self._first_total, self._first_last = first_total, first_last

    def _empty_head(self) -> Int64s:
        counters, registers = len(self.layout.counters), len(self.layout.registers)
        head = np.zeros(FIRST_REGISTER + registers + 2 * counters, np.int64)
        head[0] = -1
        days = head.view(np.int32)[2 * (FIRST_REGISTER + registers + counters) :]
        days[:counters], days[counters:] = NEVER, NEVER_YET
        return head

    def slots_for(self, users: Sequence[str]) -> Slots:
        """Return the slot of each user; new users get new slots."""
        slots = np.fromiter(map(self.slot_of.get, users, repeat(-1)), np.intp, len(users))
        unknown = np.flatnonzero(slots < 0)
        if len(unknown):
            new = [users[position] for position in unknown.tolist()]
            self._add_users(new)
            slots[unknown] = [self.slot_of[user] for user in new]
        return slots

    def known_slots(self, users: Sequence[str]) -> Slots:
        """Return the slots of those users who have one."""
        slots = np.fromiter(map(self.slot_of.get, users, repeat(-1)), np.intp, len(users))
        return slots[slots >= 0]

    def _add_users(self, users: Sequence[str]) -> None:
        slot_of, names, known = self.slot_of, self.names, len(self.names)
        new = [user for user in dict.fromkeys(users) if user not in slot_of]
        again = min(len(new), len(self._free))
        for user in new[:again]:
            slot = self._free.pop()
            names[slot], slot_of[user] = user, slot
        names += new[again:]
        slot_of.update(zip(new[again:], range(known, len(names)), strict=True))
        self.reserve(len(names))
        self._heads[known : len(names)] = self._empty

    def occupied(self) -> npt.NDArray[np.bool_]:
        """Tell which slots hold a user: every user has an event, and with it an offset."""
        return np.greater_equal(self.offsets[: len(self)], 0)

    def last_days(self, slots: Slots | None = None) -> Int64s:
        """Return the day of the latest fact of these slots (or of all), whatever it is a fact of."""
        chosen = slice(0, len(self)) if slots is None else slots
        counted: Int64s = self.lasts[chosen].max(axis=1).astype(np.int64)
        if not self.layout.registers:
            return counted
        latest: Int64s = self.registers[chosen].max(axis=1)
        registered: Int64s = np.where(latest > 0, (latest >> CODE_BITS) // DAY_US, NEVER)
        return np.maximum(counted, registered)

    def remove(self, slots: Slots) -> None:
        """Forget the users in these slots; new users will take them."""
        for slot in slots.tolist():
            del self.slot_of[self.names[slot]]
            self.names[slot] = ""
        self._free += slots.tolist()
        self._heads[slots] = self._empty
        self.tiles.forget(slots)

    def advance(self, day: int) -> None:
        """Make `day` today: days that leave the ring are emptied."""
        self.tiles.clear(len(self), range(max(self.day + 1, day - RING_DAYS + 1), day + 1))
        self.calendars[: len(self)] &= ~bits_between(self.day + 1, day)
        self.day = max(self.day, day)

    def apply(self, batch: Admitted) -> Applied:
        """Add events whose day is not after today; late ones change the tile of their own day.

        Events older than every tile count into totals, first and last days and registers only; below 63 days of age they
        still mark a day of activity.
        """
        slots = self.slots_for([event.user_id for event in batch.events])
        np.maximum.at(self.offsets, slots, batch.offsets)
        ages = self.day - batch.days
        added = self._increments.of(batch)
        self._count(added, slots[added.events], ages[added.events])
        self._register_types(slots, batch)
        self._register_attributes(slots, batch)
        return Applied(slots, int((ages > 0).sum()), int((ages >= TILE_DAYS).sum()))

    def _count(self, added: Added, slots: Slots, ages: Int64s) -> None:
        words = slots * self._heads.shape[1]
        days = (self.day - ages).astype(np.int32)
        np.add.at(self._flat, words + (added.counters + self._first_total), added.units)
        lasts = 2 * words + (added.counters + self._first_last)
        np.maximum.at(self._flat_halves, lasts, days)
        np.minimum.at(self._flat_halves, lasts + len(self.layout.counters), days)
        self._mark(slots, ages, added)
        kept = ages < TILE_DAYS
        if kept.all():
            self.tiles.add(slots, days, added.counters, added.units)
        else:
            self.tiles.add(slots[kept], days[kept], added.counters[kept], added.units[kept])

    def _mark(self, slots: Slots, ages: Int64s, added: Added) -> None:
        """Mark the days of activity; those of one day are one bit, and setting it often is setting it once."""
        shown = (added.counters == self._activity) & (ages < CALENDAR_DAYS)
        places, ages = slots[shown] * self._heads.shape[1] + CALENDAR, ages[shown]
        for age in np.flatnonzero(np.bincount(ages)).tolist():
            self._flat[places[ages == age]] |= bit_of(self.day - age)

    def _register_types(self, slots: Slots, batch: Admitted) -> None:
        for column, codes in enumerate(self._type_codes):
            found = codes[batch.types]
            positions = np.flatnonzero(found)
            if len(positions):
                self._keep_latest(column, slots[positions], batch.occurred_us[positions], found[positions])

    def _register_attributes(self, slots: Slots, batch: Admitted) -> None:
        registers = self.layout.declaration.registers.values()
        wanted = [(column, r.attribute, r.values) for column, r in enumerate(registers) if r.attribute]
        if not wanted:
            return
        carriers = [(i, event.attributes) for i, event in enumerate(batch.events) if event.attributes]
        for column, attribute, values in wanted:
            code_of = {value: code for code, value in enumerate(values, 1)}
            found = [(i, code_of.get(a[attribute], OTHER_CODE)) for i, a in carriers if attribute in a]
            if found:
                positions, codes = np.array(found, dtype=np.int64).T
                self._keep_latest(column, slots[positions], batch.occurred_us[positions], codes)

    def _keep_latest(self, column: int, slots: Slots, occurred_us: Int64s, code: Int64s) -> None:
        np.maximum.at(
            self._flat, slots * self._heads.shape[1] + FIRST_REGISTER + column, (occurred_us << CODE_BITS) | code
        )

    def facts(self, slots: Slots, day: int | None = None) -> UserFacts:
        """Return the state of these users, for computing their vectors as of today, or of the day before it."""
        heads, as_of = self._heads.take(slots, axis=0), self.day if day is None else day
        counters, halves = len(self.layout.counters), heads.view(np.int32)
        return UserFacts(
            self.tiles.active(slots, as_of),
            heads[:, self._first_total : self._first_total + counters],
            halves[:, self._first_last : self._first_last + counters],
            halves[:, self._first_last + counters :],
            heads[:, FIRST_REGISTER : self._first_total],
            ages_of(heads[:, CALENDAR], as_of),
            as_of,
        )


def _codes(register: Register, event_types: Sequence[str]) -> Int64s:
    """Return the code that each event type gives to a register; 0 where it says nothing."""
    values, events = register.values, register.events
    return np.array([values.index(events[name]) + 1 if name in events else 0 for name in event_types], np.int64)
