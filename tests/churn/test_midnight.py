"""A midnight that is worked off in steps brings what it brings at once, whatever happens in between."""

from collections import defaultdict
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from churn.layout import DAY_US
from churn.partition import Departures, Effect, Emission, Labels, Partition
from tests.churn.histories import LAYOUT, Happening, admitted, at, histories

Told = dict[str, list[tuple[object, ...]]]


def tell(told: Told, partition: Partition, effects: Iterable[Effect | None]) -> None:
    """Note what readers learn of each user, in their order."""
    for effect in effects:
        if isinstance(effect, Emission):
            facts = (effect.kind, effect.as_of_us, effect.source_offset)
            for user, vector in zip(partition.names(effect.slots), effect.matrix, strict=True):
                told[user].append((*facts, vector.tobytes()))
        elif isinstance(effect, Labels):
            for user, churned in zip(partition.names(effect.slots), effect.churned.tolist(), strict=True):
                told[user].append(("label", effect.as_of_us, churned))
        elif isinstance(effect, Departures):
            for user in effect.users:
                told[user].append(("gone",))


def told_of(history: list[Happening], size: int, steps: list[int] | None) -> Told:
    """Feed a history and then 40 days of silence; with `steps`, so many slots are rolled between two batches."""
    told: Told = defaultdict(list)
    partition = Partition(LAYOUT, 0, user_ttl_days=35)
    for turn, start in enumerate(range(0, len(history), size)):
        part = history[start : start + size]
        tell(told, partition, partition.ingest(admitted(part, start), start + len(part), in_steps=steps is not None))
        tell(told, partition, [partition.updates()])
        for _ in range(steps[turn % len(steps)] if steps else 0):
            tell(told, partition, partition.step(1))
            tell(told, partition, [partition.updates()])
    tell(told, partition, partition.finish())
    tell(told, partition, partition.advance(partition.clock.arrived_us + 40 * DAY_US))
    return told


@given(histories, st.integers(1, 9), st.lists(st.integers(0, 3), min_size=1))
@settings(max_examples=30)
def test_in_steps_every_user_is_told_the_same_as_at_once(history: list[Happening], size: int, steps: list[int]) -> None:
    ordered = sorted(history, key=lambda h: h.at_us)
    assert told_of(ordered, size, steps) == told_of(ordered, size, None)


@given(histories, st.integers(1, 9), st.lists(st.integers(0, 3), min_size=1))
@settings(max_examples=30)
def test_in_any_order_of_events_too(history: list[Happening], size: int, steps: list[int]) -> None:
    assert told_of(history, size, steps) == told_of(history, size, None)


def half_done() -> Partition:
    """Return a partition of three users in the midst of a midnight, of whom the first is over it."""
    partition = Partition(LAYOUT, 0)
    list(partition.ingest(admitted([Happening(user, "read", at(0), 1.0) for user in ("ann", "bob", "cem")]), 3))
    partition.updates()
    list(partition.advance(at(1), in_steps=True))
    list(partition.step(1))
    return partition


def test_an_event_of_the_new_day_does_not_show_in_the_midnights_vector() -> None:
    partition = half_done()
    effects = list(partition.ingest(admitted([Happening("bob", "read", at(1, 5), 1.0)], 3), 4, in_steps=True))
    (midnight,) = [effect for effect in effects if isinstance(effect, Emission)]
    assert (partition.names(midnight.slots), midnight.as_of_us, midnight.source_offset) == (["bob"], at(1), 3)
    assert midnight.matrix[0, :3].tolist() == [0.0, 1.0, 1.0]
    update = partition.updates()
    assert update is not None
    assert (partition.names(update.slots), update.matrix[0, :3].tolist()) == (["bob"], [1.0, 2.0, 2.0])


def test_a_user_who_is_new_after_midnight_has_no_vector_of_it() -> None:
    partition = half_done()
    list(partition.ingest(admitted([Happening("dan", "read", at(1, 5), 1.0)], 3), 4, in_steps=True))
    rest = [effect for effect in partition.finish() if isinstance(effect, Emission)]
    assert [partition.names(effect.slots) for effect in rest] == [["bob", "cem"]]


def test_the_next_midnight_waits_for_the_one_before_it() -> None:
    partition = half_done()
    effects = partition.ingest(admitted([Happening("ann", "read", at(2), 1.0)], 3), 4, in_steps=True)
    emissions = [effect for effect in effects if isinstance(effect, Emission)]
    assert [(partition.names(e.slots), e.as_of_us) for e in emissions] == [
        (["bob", "cem"], at(1)),
        (["ann"], at(2)),
    ]
    assert partition.rolling


def test_with_steps_the_wall_clock_passes_one_midnight_at_a_time() -> None:
    partition = half_done()
    list(partition.finish())
    for day in (2, 3):
        list(partition.advance(at(9), in_steps=True))
        list(partition.finish())
        assert partition.slab.day * DAY_US == at(day)
