"""The units of each user, day and counter: a row for a day on which something was counted, none for a silent one.

A user who is active on one day of 31 takes 172 bytes with 11 counters, one who is active on all of them 1,492; a full
ring for everybody would take 1,408 each. All rows lie in one pool, so that a batch is one pass whatever days it is of.
"""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from churn.declaration import TILE_DAYS
from churn.features import ActiveDays
from churn.layout import MAX_UNITS, RING_DAYS, Int32s, Int64s

RING_MASK = RING_DAYS - 1
FIRST_ROWS = 1024
NO_ROW = 0
"""The first row of the pool is nobody's, so that an index of zeros, which costs no memory, says that all is silent."""

Slots = npt.NDArray[np.intp]
Number = TypeVar("Number", bound=np.generic)


class Tiles:
    """A ring of days a slot; `index[slot, day mod 32]` is the row of that day."""

    def __init__(self, counters: int) -> None:
        self.counters = counters
        self._index: Int32s = np.zeros((0, RING_DAYS), np.int32)
        self._pool: Int32s = np.zeros((FIRST_ROWS, counters), np.int32)
        self._used = 1
        self._free: Int32s = np.zeros(0, np.int32)

    def reserve(self, capacity: int) -> None:
        """Make room for this many slots."""
        self._index = grown(self._index, capacity)

    @property
    def rows_used(self) -> int:
        """Return how many days of all users have a row."""
        return self._used - 1 - len(self._free)

    def add(self, slots: Slots, days: Int32s, counters: Slots, units: Int64s) -> None:
        """Add units to tiles; a tile saturates."""
        if not len(slots):
            return
        rows = self._rows_for(slots * RING_DAYS + (days & RING_MASK))
        cells = rows.astype(np.intp) * self.counters + counters
        tiles = self._pool.reshape(-1)
        # Nothing can saturate while all units of the batch together fit above the fullest tile that they go to.
        if int(units.sum()) + int(tiles[cells].max()) <= MAX_UNITS:
            np.add.at(tiles, cells, units.astype(np.int32))
            return
        distinct, inverse = np.unique(cells, return_inverse=True)
        sums = np.zeros(len(distinct), np.int64)
        np.add.at(sums, inverse, units)
        tiles[distinct] = np.minimum(tiles[distinct] + sums, MAX_UNITS)

    def put(self, slots: Slots, days: Int64s, counters: Slots, units: Int32s) -> None:
        """Set tiles, each given once."""
        if len(slots):
            rows = self._rows_for(slots * RING_DAYS + (days & RING_MASK))
            self._pool[rows, counters] = units

    def _rows_for(self, places: Slots) -> Int32s:
        """Return the row of each place in the index; a place without one gets it."""
        index = self._index.reshape(-1)
        rows: Int32s = index[places]
        missing = places[rows == NO_ROW]
        if len(missing):
            # A place may be named often: the last of equal ones wins, and each winner takes a row.
            turns = np.arange(len(missing), dtype=np.int32)
            index[missing] = turns
            new = missing[index[missing] == turns]
            index[new] = self._take_rows(len(new))
            rows = index[places]
        return rows

    def _take_rows(self, count: int) -> Int32s:
        again, self._free = self._free[:count], self._free[count:]
        fresh = np.arange(self._used, self._used + count - len(again), dtype=np.int32)
        self._used += len(fresh)
        self._pool = grown(self._pool, self._used)
        return np.concatenate([again, fresh])

    def clear(self, users: int, days: Iterable[int]) -> None:
        """Empty these days of the first `users` slots."""
        for day in days:
            self._drop((slice(0, users), day & RING_MASK))

    def forget(self, slots: Slots) -> None:
        """Empty every day of these slots."""
        self._drop((slots, slice(None)))

    def _drop(self, where: tuple[Slots | slice, int | slice]) -> None:
        held = self._index[where]
        rows = held[held != NO_ROW]
        if len(rows):
            self._index[where] = NO_ROW
            self._pool[rows] = 0
            self._free = np.concatenate([self._free, rows])

    def active(self, slots: Slots, day: int) -> ActiveDays:
        """Return the tiles of these slots as of `day`."""
        held, today = self._index.take(slots, axis=0), day & RING_MASK
        # From today backwards, and on from the end of the ring; the 32nd day is nobody's.
        index = np.concatenate([held[:, today::-1], held[:, : today + 1 : -1]], axis=1)[:, :TILE_DAYS]
        present = index != NO_ROW
        # `take` of whole rows costs half of what an index in brackets does.
        return ActiveDays(present, self._pool.take(index[present], axis=0))

    def ring(self, slot: int) -> Int32s:
        """Return all tiles of a slot, int32 [32 days, counters], by day mod 32."""
        tiles: Int32s = self._pool[self._index[slot]]
        return tiles


def grown(array: npt.NDArray[Number], length: int) -> npt.NDArray[Number]:
    """Return an array with room for this many rows; doubles, because each step copies everything.

    Room that is not used yet is zero, never touched, and so takes no memory.
    """
    if length <= len(array):
        return array
    larger = np.zeros((max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
