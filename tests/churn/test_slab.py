"""The arrays behind every vector: units of a day, lifetime facts, the latest of several values."""

import numpy as np

from churn.layout import MAX_UNITS, NEVER, RING_DAYS
from churn.slab import FIRST_CAPACITY, Slab
from tests.churn.histories import FIRST_DAY, LAYOUT, Happening, admitted, at

MINUTES, PAID, PLAN = LAYOUT.counter("minutes"), LAYOUT.counter("paid"), LAYOUT.register("plan")


def slab(*happenings: Happening, day: int = 0) -> Slab:
    found = Slab(LAYOUT, FIRST_DAY + day)
    found.apply(admitted(happenings))
    return found


def tile(of: Slab, age: int, counter: int) -> int:
    return int(of.tiles.ring(0)[(of.day - age) % RING_DAYS, counter])


def test_a_measure_is_kept_in_hundredths_on_its_day() -> None:
    found = slab(Happening("ann", "read", at(0), 1.25), Happening("ann", "read", at(0), 2.5))
    assert (tile(found, 0, MINUTES), int(found.totals[0, MINUTES])) == (375, 375)


def test_a_day_saturates_and_the_lifetime_goes_on() -> None:
    found = slab(Happening("ann", "read", at(0), 1.0))
    found.tiles.put(np.array([0]), np.array([found.day]), np.array([MINUTES]), np.array([MAX_UNITS - 1], np.int32))
    found.apply(admitted([Happening("ann", "read", at(0), 1000.0, id="x")]))
    assert tile(found, 0, MINUTES) == 2_147_483_647
    assert int(found.totals[0, MINUTES]) == 100_100


def test_31_days_are_kept_and_older_events_count_into_the_lifetime() -> None:
    found = slab(Happening("ann", "read", at(1), 1.0), Happening("ann", "read", at(0), 1.0), day=31)
    assert (tile(found, 30, MINUTES), int(found.tiles.ring(0).sum(axis=0)[MINUTES])) == (100, 100)
    assert int(found.totals[0, MINUTES]) == 200


def test_days_that_leave_the_ring_are_emptied() -> None:
    found = slab(Happening("ann", "read", at(0), 1.0))
    found.advance(FIRST_DAY + 31)
    assert tile(found, 31, MINUTES) == 100
    found.advance(FIRST_DAY + 32)
    assert int(found.tiles.ring(0).sum()) == 0
    assert int(found.totals[0, MINUTES]) == 100


def test_first_and_last_day_do_not_depend_on_the_order_of_arrival() -> None:
    found = slab(Happening("ann", "paid", at(5), 1.0), Happening("ann", "paid", at(2), 1.0), day=6)
    assert (int(found.firsts[0, PAID]) - FIRST_DAY, int(found.lasts[0, PAID]) - FIRST_DAY) == (2, 5)
    assert int(found.lasts[0, MINUTES]) == NEVER


def test_the_latest_value_by_event_time_wins() -> None:
    early = Happening("ann", "joined", at(1), plan="free")
    late = Happening("ann", "joined", at(2), plan="pro")
    codes = [int(slab(*order, day=3).registers[0, PLAN]) & 255 for order in ((early, late), (late, early))]
    assert codes == [2, 2]


def test_a_value_that_is_not_declared_counts_as_another() -> None:
    assert int(slab(Happening("ann", "joined", at(0), plan="gold")).registers[0, PLAN]) & 255 == 255


def test_more_users_than_room_keep_everything() -> None:
    found = slab(Happening("u0", "read", at(0), 1.0))
    found.apply(admitted([Happening(f"u{n}", "read", at(0), 1.0) for n in range(1, FIRST_CAPACITY + 2)]))
    assert len(found) == FIRST_CAPACITY + 2
    assert np.unique(found.totals[: len(found), MINUTES]).tolist() == [100]


def test_a_day_of_activity_is_one_bit_however_many_events_it_has() -> None:
    found = slab(
        *(Happening("ann", "read", at(day), 1.0) for day in (70, 64, 70, 8, 7)),
        Happening("ann", "paid", at(69)),
        day=70,
    )
    assert facts_ages(found) == [0, 6, 62]  # a payment is no activity, and 63 days ago is too old
    found.advance(FIRST_DAY + 72)
    assert facts_ages(found) == [2, 8]


def facts_ages(of: Slab) -> list[int]:
    bits = int(of.facts(np.array([0])).calendars[0])
    return [age for age in range(64) if bits >> (63 - age) & 1]
