"""The state of one partition's users as contiguous arrays, with a slot per user."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.admission import Admitted, measure_units
from churn.declaration import TILE_DAYS
from churn.events import Event
from churn.features import UserFacts
from churn.layout import CODE_BITS, MAX_UNITS, NEVER, NEVER_YET, RING_DAYS, Int32s, Int64s, Layout

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
        """Make room for this many users; grows in steps of half, because each step copies everything."""
        capacity = self.tiles.shape[0]
        if users <= capacity:
            return
        old = self._parts()
        self._allocate(max(users, capacity + capacity // 2))
        for target, source in zip(self._parts(), old, strict=True):
            target[:capacity] = source

    def _parts(self) -> list[npt.NDArray[np.integer]]:
        return [self.tiles, self.totals, self.lasts, self.firsts, self.registers, self.offsets]

    def slots_for(self, users: Sequence[str]) -> Slots:
        """Return the slot of each user; new users get new slots."""
        slot_of, names = self.slot_of, self.names
        slots = []
        for user in users:
            slot = slot_of.get(user)
            if slot is None:
                slot = slot_of[user] = len(names)
                names.append(user)
            slots.append(slot)
        self.reserve(len(names))
        return np.array(slots, dtype=np.intp)

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
        for code in np.unique(batch.types).tolist():
            positions = np.flatnonzero(batch.types == code)
            self._count(code, positions, slots, ages, batch)
            self._register_types(code, positions, slots, batch)
        self._register_attributes(slots, batch)
        return Applied(slots, int((ages > 0).sum()), int((ages >= TILE_DAYS).sum()))

    def _count(self, code: int, positions: Slots, slots: Slots, ages: Int64s, batch: Admitted) -> None:
        width = len(self.layout.counters)
        where, age = slots[positions], ages[positions]
        day = (self.day - age).astype(np.int32)
        events: list[Event] | None = None
        for increment in self.layout.increments[code]:
            if increment.measure:
                events = events or [batch.events[i] for i in positions.tolist()]
                units = measure_units(events, increment.measure, increment.scale)
            else:
                units = np.full(len(positions), increment.units, np.int64)
            cells = where * width + increment.counter
            np.add.at(self.totals.reshape(-1), cells, units)
            np.maximum.at(self.lasts.reshape(-1), cells, day)
            np.minimum.at(self.firsts.reshape(-1), cells, day)
            kept = age < TILE_DAYS
            self._add_units((where * RING_DAYS + (day & RING_MASK))[kept] * width + increment.counter, units[kept])

    def _add_units(self, cells: Slots, units: Int64s) -> None:
        distinct, inverse = np.unique(cells, return_inverse=True)
        sums = np.zeros(len(distinct), np.int64)
        np.add.at(sums, inverse, units)
        tiles = self.tiles.reshape(-1)
        tiles[distinct] = np.minimum(tiles[distinct] + sums, MAX_UNITS)

    def _register_types(self, code: int, positions: Slots, slots: Slots, batch: Admitted) -> None:
        name = self.layout.event_types[code]
        for column, register in enumerate(self.layout.declaration.registers.values()):
            if name in register.events:
                value = register.values.index(register.events[name]) + 1
                self._keep_latest(column, slots[positions], batch.occurred_us[positions], np.int64(value))

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

    def _keep_latest(self, column: int, slots: Slots, occurred_us: Int64s, code: Int64s | np.int64) -> None:
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
