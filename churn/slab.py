"""The state of one partition's users as contiguous arrays, with a slot per user."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

from churn.admission import Admitted
from churn.declaration import TILE_DAYS, Register
from churn.features import UserFacts
from churn.increments import Added, Increments
from churn.layout import CODE_BITS, DAY_US, MAX_UNITS, NEVER, NEVER_YET, RING_DAYS, Int32s, Int64s, Layout

FIRST_CAPACITY = 1024
RING_MASK = RING_DAYS - 1
OTHER_CODE = (1 << CODE_BITS) - 1
"""The code of an attribute value that the declaration does not list."""

Slots = npt.NDArray[np.intp]


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
        self._allocate(FIRST_CAPACITY)

    def __len__(self) -> int:
        return len(self.names)

    def _allocate(self, capacity: int) -> None:
        counters, registers = len(self.layout.counters), len(self.layout.registers)
        self.tiles: Int32s = np.zeros((capacity, RING_DAYS, counters), np.int32)
        self.totals: Int64s = np.zeros((capacity, counters), np.int64)
        self.lasts: Int32s = np.full((capacity, counters), NEVER, np.int32)
        self.firsts: Int32s = np.full((capacity, counters), NEVER_YET, np.int32)
        self.registers: Int64s = np.zeros((capacity, registers), np.int64)
        self.offsets: Int64s = np.full(capacity, -1, np.int64)

    def reserve(self, users: int) -> None:
        """Make room for this many users; doubles, because each step copies everything. Unused room is never touched."""
        capacity = self.tiles.shape[0]
        if users <= capacity:
            return
        old = self._parts()
        self._allocate(max(users, 2 * capacity))
        for target, source in zip(self._parts(), old, strict=True):
            target[:capacity] = source

    def _parts(self) -> list[npt.NDArray[np.integer]]:
        return [self.tiles, self.totals, self.lasts, self.firsts, self.registers, self.offsets]

    def slots_for(self, users: Sequence[str]) -> Slots:
        """Return the slot of each user; new users get new slots."""
        slots = np.fromiter(map(self.slot_of.get, users, repeat(-1)), np.intp, len(users))
        unknown = np.flatnonzero(slots < 0)
        if len(unknown):
            new = [users[position] for position in unknown.tolist()]
            self._add_users(new)
            slots[unknown] = [self.slot_of[user] for user in new]
        return slots

    def _add_users(self, users: Sequence[str]) -> None:
        slot_of, names = self.slot_of, self.names
        for user in users:
            if user not in slot_of:
                if self._free:
                    slot = self._free.pop()
                    names[slot] = user
                else:
                    slot = len(names)
                    names.append(user)
                slot_of[user] = slot
        self.reserve(len(names))

    def occupied(self) -> npt.NDArray[np.bool_]:
        """Tell which slots hold a user: every user has an event, and with it an offset."""
        return np.greater_equal(self.offsets[: len(self)], 0)

    def last_days(self) -> Int64s:
        """Return the day of the latest fact of each slot, whatever it is a fact of."""
        counted: Int64s = self.lasts[: len(self)].max(axis=1).astype(np.int64)
        if not self.layout.registers:
            return counted
        latest: Int64s = self.registers[: len(self)].max(axis=1)
        registered: Int64s = np.where(latest > 0, (latest >> CODE_BITS) // DAY_US, NEVER)
        return np.maximum(counted, registered)

    def remove(self, slots: Slots) -> None:
        """Forget the users in these slots; new users will take them."""
        for slot in slots.tolist():
            del self.slot_of[self.names[slot]]
            self.names[slot] = ""
        self._free += slots.tolist()
        for part, empty in zip(self._parts(), (0, 0, NEVER, NEVER_YET, 0, -1), strict=True):
            part[slots] = empty

    def advance(self, day: int) -> None:
        """Make `day` today: days that leave the ring are emptied."""
        if day - self.day >= RING_DAYS:
            self.tiles[: len(self)] = 0
        else:
            for fresh in range(self.day + 1, day + 1):
                self.tiles[: len(self), fresh & RING_MASK, :] = 0
        self.day = max(self.day, day)

    def apply(self, batch: Admitted) -> Applied:
        """Add events whose day is not after today; late ones change the tile of their own day.

        Events older than every tile count into totals, first and last days and registers only.
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
        width = len(self.layout.counters)
        cells = slots * width + added.counters
        days = (self.day - ages).astype(np.int32)
        np.add.at(self.totals.reshape(-1), cells, added.units)
        np.maximum.at(self.lasts.reshape(-1), cells, days)
        np.minimum.at(self.firsts.reshape(-1), cells, days)
        tiles = (slots * RING_DAYS + (days & RING_MASK)) * width + added.counters
        kept = ages < TILE_DAYS
        if kept.all():
            self._add_units(tiles, added.units)
        else:
            self._add_units(tiles[kept], added.units[kept])

    def _add_units(self, cells: Slots, units: Int64s) -> None:
        tiles = self.tiles.reshape(-1)
        # Nothing can saturate while all units of the batch together fit above the fullest tile that they go to.
        if not len(cells) or int(units.sum()) + int(tiles[cells].max()) <= MAX_UNITS:
            np.add.at(tiles, cells, units.astype(np.int32))
            return
        distinct, inverse = np.unique(cells, return_inverse=True)
        sums = np.zeros(len(distinct), np.int64)
        np.add.at(sums, inverse, units)
        tiles[distinct] = np.minimum(tiles[distinct] + sums, MAX_UNITS)

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
        cells = slots * len(self.layout.registers) + column
        np.maximum.at(self.registers.reshape(-1), cells, (occurred_us << CODE_BITS) | code)

    def facts(self, slots: Slots | slice) -> UserFacts:
        """Return the state of these users, for computing their vectors as of today."""
        order = np.array([(self.day - age) & RING_MASK for age in range(TILE_DAYS)], dtype=np.intp)
        return UserFacts(
            self.tiles[slots],
            self.totals[slots],
            self.lasts[slots],
            self.firsts[slots],
            self.registers[slots],
            order,
            self.day,
        )


def _codes(register: Register, event_types: Sequence[str]) -> Int64s:
    """Return the code that each event type gives to a register; 0 where it says nothing."""
    values, events = register.values, register.events
    return np.array([values.index(events[name]) + 1 if name in events else 0 for name in event_types], np.int64)
