"""Rows for active days alone hold what a full ring for everybody holds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from churn.features import ActiveDays
from churn.layout import MAX_UNITS, RING_DAYS, Int32s
from churn.tiles import Tiles

USERS, COUNTERS = 5, 3
Batch = list[tuple[int, int, int, int]]

batches: st.SearchStrategy[list[Batch]] = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, USERS - 1),
            st.integers(0, 30),
            st.integers(0, COUNTERS - 1),
            st.sampled_from([0, 1, 7, 2**30, MAX_UNITS]),
        ),
        max_size=8,
    ),
    max_size=12,
)


class FullRing:
    """The plain way: a tile for each user, day and counter."""

    def __init__(self) -> None:
        self.tiles = np.zeros((USERS, RING_DAYS, COUNTERS), np.int64)

    def add(self, slot: int, day: int, counter: int, units: int) -> None:
        """Add units; a tile saturates."""
        tile = self.tiles[slot, day % RING_DAYS]
        tile[counter] = min(int(tile[counter]) + units, MAX_UNITS)

    def ages(self, today: int) -> Int32s:
        """Return the last 31 days from today into the past."""
        return self.tiles[:, [(today - age) % RING_DAYS for age in range(31)]].astype(np.int32)


def column(batch: Batch, place: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([row[place] for row in batch], np.int64)


def full(active: ActiveDays) -> Int32s:
    """Return rows as full tiles."""
    tiles = np.zeros((*active.present.shape, COUNTERS), np.int32)
    tiles[active.present] = active.units
    return tiles


@given(batches, st.lists(st.integers(0, USERS - 1), unique=True, max_size=2))
def test_rows_hold_what_a_full_ring_holds(history: list[Batch], leave: list[int]) -> None:
    rows, ring, everyone = Tiles(COUNTERS), FullRing(), np.arange(USERS)
    rows.reserve(USERS)
    for today, batch in enumerate(history, 100):
        rows.clear(USERS, [today])
        ring.tiles[:, today % RING_DAYS] = 0
        days = (today - column(batch, 1)).astype(np.int32)
        rows.add(column(batch, 0), days, column(batch, 2), column(batch, 3))
        for (slot, _, counter, units), day in zip(batch, days.tolist(), strict=True):
            ring.add(slot, day, counter, units)
        if today % 5 == 0:
            rows.forget(np.array(leave, np.intp))
            ring.tiles[leave] = 0
        assert full(rows.active(everyone, today)).tolist() == ring.ages(today).tolist()


def test_a_day_that_is_emptied_gives_its_row_to_the_next() -> None:
    tiles, slot, one = Tiles(COUNTERS), np.array([0]), np.array([1])
    tiles.reserve(1)
    for day in range(100):
        tiles.clear(1, [day])
        tiles.add(slot, np.array([day], np.int32), slot, one)
    assert (tiles.rows_used, len(tiles._pool)) == (32, 1024)
    assert tiles.ring(0)[:, 0].tolist() == [1] * 32


def test_more_rows_than_room_keep_everything() -> None:
    tiles, slots = Tiles(COUNTERS), np.arange(3000)
    tiles.reserve(3000)
    tiles.add(slots, np.full(3000, 9, np.int32), np.ones(3000, np.intp), slots)
    assert tiles.active(slots, 9).units[:, 1].tolist() == slots.tolist()


@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=4, max_size=4), st.permutations(range(4)))
def test_parts_and_choices_of_users_take_their_rows_along(days: list[list[int]], chosen: list[int]) -> None:
    tiles = np.array(days, np.int32)[:, :, None] * np.ones(COUNTERS, np.int32)
    active = ActiveDays.of(tiles)
    assert full(active.take(np.array(chosen[:3]))).tolist() == tiles[chosen[:3]].tolist()
    assert full(active.part(1, 3)).tolist() == tiles[1:3].tolist()
