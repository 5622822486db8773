"""The laws of time and events, each on random histories; `tests/stream_processors/test_laws.py` holds Kafka to the same."""

import dataclasses
import re
import zlib
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from churn.layout import DAY_US
from churn.partition import Partition
from tests.churn.histories import (
    ADMISSION,
    DECLARATION,
    LAYOUT,
    Happening,
    admitted,
    at,
    expected,
    fed,
    histories,
    record,
    same,
    vectors,
)

TODAY = 51
"""A day after every event of a random history."""
WINDOWS = [int(days) for name in DECLARATION.feature_names for days in re.findall(r"_(\d+)d$", name)[:1] or [0]]
"""By feature, how many days it looks at; 0: as many as there are."""
SECONDS = st.integers(0, 86_399)
Vectors = dict[str, list[float]]


def in_order(history: Sequence[Happening]) -> list[Happening]:
    return sorted(history, key=lambda happening: happening.at_us)


def equal(one: Vectors, other: Vectors) -> bool:
    return one.keys() == other.keys() and all(same(vector, other[user]) for user, vector in one.items())


def after(history: list[Happening], late: Happening) -> tuple[Partition, Vectors]:
    """Return the partition and its vectors before an event that comes at the end of the history's last midnight."""
    partition = fed(in_order(history), until_day=TODAY)
    before = vectors(partition)
    list(partition.ingest(admitted([late], len(history)), len(history) + 1))
    return partition, before


@given(st.integers(0, 50), SECONDS, st.integers(0, 45))
def test_a_window_of_n_days_is_half_open(day: int, second: int, later: int) -> None:
    partition = fed([Happening("ann", "read", at(day, second), 1.0)], until_day=day + later)
    assert vectors(partition)["ann"][:3] == [float(later < days) for days in (1, 7, 30)]


@given(histories, st.integers(21, 50), SECONDS)
def test_a_late_event_changes_exactly_the_windows_that_contain_it(
    history: list[Happening], day: int, second: int
) -> None:
    late = Happening("ann", "read", at(day, second), 12.34, id="late")
    partition, before = after(history, late)
    found = vectors(partition)
    assert same(found["ann"], expected([*history, late], "ann", at(TODAY) // DAY_US))
    former = before.get("ann", found["ann"])
    outside = [
        i
        for i, days in enumerate(WINDOWS)
        if 0 < days <= TODAY - day and not DECLARATION.feature_names[i].startswith("decayed")
    ]
    assert same([found["ann"][i] for i in outside], [former[i] for i in outside])
    assert equal({**found, "ann": former}, {**before, "ann": former})


@given(histories, st.integers(31, 2000), SECONDS)
def test_an_event_older_than_31_days_counts_into_lifetime_totals_only(
    history: list[Happening], age: int, second: int
) -> None:
    old = Happening("ann", "paid", at(TODAY - age, second), 0.5, id="old")
    partition, before = after(history, old)
    expired, found = partition.tally.expired, vectors(partition)["ann"]
    assert same(found, expected([*history, old], "ann", at(TODAY) // DAY_US))
    total = DECLARATION.feature_names.index("total")
    assert found[total] == before.get("ann", [0.0] * len(found))[total] + 0.5
    assert expired - fed(in_order(history), until_day=TODAY).tally.expired == 1


@given(histories, st.integers(1, 10**15), st.data())
def test_an_event_of_the_future_is_refused_and_rolls_no_day(
    history: list[Happening], ahead_us: int, data: st.DataObject
) -> None:
    ordered = in_order(history)
    place = data.draw(st.integers(0, len(ordered)))
    arrived_us = ordered[min(place, len(ordered) - 1)].at_us
    future = record(Happening("ann", "read", arrived_us + 600_000_000 + ahead_us, 1.0, id="future"), place, arrived_us)
    records = [record(h, i + (i >= place)) for i, h in enumerate(ordered)]
    events, refusals = ADMISSION.admit([*records[:place], future, *records[place:]])
    partition = Partition(LAYOUT, 0)
    list(partition.ingest(events, len(records) + 1))
    assert [(refusal.reason, refusal.record.offset) for refusal in refusals] == [("future-dated", place)]
    assert partition.clock.watermark_us - ordered[-1].at_us in (0, 1)  # just past an event of exactly midnight
    assert equal(vectors(partition), vectors(fed(ordered)))


@given(histories, st.lists(st.tuples(st.integers(0, 59), st.integers(0, 119)), max_size=60), st.integers(1, 9))
def test_duplicates_change_nothing_wherever_they_come(
    history: list[Happening], repeats: list[tuple[int, int]], size: int
) -> None:
    ordered = [dataclasses.replace(h, id=f"e{n}") for n, h in enumerate(in_order(history))]
    published = list(ordered)
    for which, where in repeats:
        first = published.index(again := ordered[which % len(ordered)])
        published.insert(min(len(published), first + 1 + where), again)
    partition = fed(published, size, TODAY)
    assert partition.tally.duplicate == len(repeats)
    assert equal(vectors(partition), vectors(fed(ordered, until_day=TODAY)))


@given(histories, st.integers(1, 5))
def test_the_number_of_partitions_changes_no_bit(history: list[Happening], partitions: int) -> None:
    found: Vectors = {}
    for number in range(partitions):
        part = [h for h in in_order(history) if zlib.crc32(h.user.encode()) % partitions == number]
        found |= vectors(fed(part, until_day=TODAY)) if part else {}
    assert equal(found, vectors(fed(in_order(history), until_day=TODAY)))


@given(histories, st.integers(0, 10**15))
def test_the_speed_of_a_replay_changes_no_bit(history: list[Happening], lag_us: int) -> None:
    ordered, live = in_order(history), Partition(LAYOUT, 0)
    for offset, happening in enumerate(ordered):
        wall_us = happening.at_us + lag_us
        list(live.advance(wall_us))  # the wall clock brings the midnights, not the events
        list(live.ingest(ADMISSION.admit([record(happening, offset, wall_us)])[0], offset + 1))
    list(live.advance(at(TODAY) + lag_us))
    assert equal(vectors(live), vectors(fed(ordered, until_day=TODAY)))
