"""The laws of time and state, on random histories."""

import dataclasses
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.blocks import Kind
from churn.layout import DAY_US, Floats
from churn.packing import hold, pack
from churn.partition import Emission, Labels, Partition
from tests.churn.histories import LAYOUT, Happening, admitted, at, expected, fed, histories, same, vectors

END_DAY = 51


def in_order(history: list[Happening]) -> list[Happening]:
    return sorted(history, key=lambda h: h.at_us)


def emissions(partition: Partition, history: list[Happening], size: int) -> list[Emission]:
    found = []
    for start in range(0, len(history), size):
        part = history[start : start + size]
        effects = partition.ingest(admitted(part, start), start + len(part))
        found += [effect for effect in effects if isinstance(effect, Emission)]
    return found


@given(histories)
def test_stream_equals_a_plain_recomputation_bit_for_bit(history: list[Happening]) -> None:
    partition = fed(in_order(history), until_day=END_DAY)
    for user, vector in vectors(partition).items():
        assert same(vector, expected(history, user, at(END_DAY) // DAY_US)), user


@given(histories, st.integers(1, 7))
def test_batch_sizes_change_nothing(history: list[Happening], size: int) -> None:
    ordered = in_order(history)
    one, other = fed(ordered, 1000, END_DAY), fed(ordered, size, END_DAY)
    assert {u: same(v, vectors(other)[u]) for u, v in vectors(one).items()} == dict.fromkeys(vectors(one), True)


@given(histories, st.randoms(use_true_random=False))
def test_order_changes_nothing_once_time_has_passed(history: list[Happening], chance: random.Random) -> None:
    shuffled = list(history)
    chance.shuffle(shuffled)
    one, other = vectors(fed(in_order(history), 3, END_DAY)), vectors(fed(shuffled, 3, END_DAY))
    assert all(same(one[user], other[user]) for user in one)


@given(histories, st.integers(1, 9))
def test_midnight_vectors_cover_exactly_what_was_before_midnight(history: list[Happening], size: int) -> None:
    ordered = in_order(history)
    for emission in emissions(partition := Partition(LAYOUT, 0), ordered, size):
        before = [h for h in ordered if h.at_us < emission.as_of_us]
        for slot, vector in zip(emission.slots, emission.matrix, strict=True):
            user = partition.slab.names[slot]
            assert same(vector.tolist(), expected(before, user, emission.as_of_us // DAY_US))


@given(histories, st.integers(1, 9))
def test_a_reader_that_takes_only_what_changed_ends_with_the_vectors(history: list[Happening], size: int) -> None:
    partition, read = Partition(LAYOUT, 0), np.full((9, len(LAYOUT.declaration.features)), -1, np.float32)
    ordered = in_order(history)
    for start in range(0, len(ordered), size):
        part = ordered[start : start + size]
        effects = list(partition.ingest(admitted(part, start), start + len(part)))
        for emission in [*(e for e in effects if isinstance(e, Emission)), partition.updates()]:
            take_changed(read, emission)
    everyone = np.arange(partition.users)
    assert read[everyone].tobytes() == partition.emitted(everyone)[0].tobytes()


def take_changed(read: Floats, emission: Emission | None) -> None:
    """Take over the changed values alone; a vector's first emission is whole."""
    if emission is not None and emission.changed is not None:
        changed = np.unpackbits(emission.changed, axis=1, count=read.shape[1]).view(np.bool_)
        read[emission.slots] = np.where(changed, emission.matrix, read[emission.slots])


@given(histories, st.integers(0, 60))
@settings(max_examples=50)
def test_a_restored_partition_goes_on_as_if_nothing_had_happened(history: list[Happening], cut: int) -> None:
    ordered = in_order(history)
    cut = min(cut, len(ordered))
    first = fed(ordered[:cut])
    second = Partition(LAYOUT, 0)
    slots = first.take_unsaved()
    second.restore(first.clock, cut, first.names(slots), pack(hold(first.slab, slots)))
    if cut < len(ordered):
        list(second.ingest(admitted(ordered[cut:], cut), len(ordered)))
    whole = fed(ordered)
    assert all(same(vector, vectors(second)[user]) for user, vector in vectors(whole).items())


at_midnights = st.lists(
    st.builds(dataclasses.replace, histories.flatmap(st.sampled_from), at_us=st.builds(at, st.integers(0, 9))),
    min_size=1,
    max_size=20,
)


@given(at_midnights, histories, st.integers(1, 9))
def test_no_vector_as_of_a_midnight_holds_an_event_of_it(
    sharp: list[Happening], others: list[Happening], size: int
) -> None:
    history, partition = in_order([*sharp, *others]), Partition(LAYOUT, 0)
    for start in range(0, len(history), size):
        part = history[start : start + size]
        effects = [*partition.ingest(admitted(part, start), start + len(part)), partition.updates()]
        for emission in [e for e in effects if isinstance(e, Emission) and e.as_of_us % DAY_US == 0]:
            before = [h for h in history[: emission.source_offset] if h.at_us < emission.as_of_us]
            for user, vector in zip(partition.names(emission.slots), emission.matrix.tolist(), strict=True):
                assert same(vector, expected(before, user, emission.as_of_us // DAY_US))


def test_an_event_of_a_midnight_is_known_a_microsecond_after_it() -> None:
    history = [Happening("ann", "read", at(0, 5), 1.0), Happening("ann", "read", at(1), 1.0)]
    (roll,) = emissions(partition := Partition(LAYOUT, 0), history, 2)
    update = partition.updates()
    assert update is not None
    assert [(e.kind, e.as_of_us, e.matrix[0, :3].tolist()) for e in (roll, update)] == [
        ("roll", at(1), [0.0, 1.0, 1.0]),
        ("update", at(1) + 1, [1.0, 2.0, 2.0]),
    ]


def test_a_late_event_after_the_wall_clock_brought_a_midnight_is_as_of_that_midnight() -> None:
    partition = fed([Happening("ann", "read", at(0, 5), 1.0)], until_day=1)
    list(partition.ingest(admitted([Happening("ann", "read", at(0, 9), 1.0)], 1), 2))
    update = partition.updates()
    assert update is not None
    assert (update.as_of_us, update.source_offset, update.matrix[0, 0]) == (at(1), 2, 0.0)


def test_duplicates_by_event_id_change_nothing() -> None:
    read = Happening("ann", "read", at(1), 5.0, id="same")
    partition = fed([read, read, Happening("ann", "read", at(1, 9), 5.0, id="same")])
    assert vectors(partition)["ann"][0] == 1.0
    assert partition.tally.duplicate == 2


def test_a_silent_user_decays_without_events() -> None:
    partition = fed([Happening("ann", "read", at(0), 5.0)])
    assert vectors(partition)["ann"][:3] == [1.0, 1.0, 1.0]
    aged = fed([Happening("ann", "read", at(0), 5.0)], until_day=10)
    assert vectors(aged)["ann"][:3] == [0.0, 0.0, 1.0]
    assert vectors(aged)["ann"][13] == 10.0


def test_windows_are_half_open() -> None:
    history = [Happening("ann", "read", at(0), 1.0)]
    assert vectors(fed(history, until_day=6))["ann"][1] == 1.0
    assert vectors(fed(history, until_day=7))["ann"][1] == 0.0


def test_a_late_event_changes_only_the_windows_that_contain_it() -> None:
    partition = fed([Happening("ann", "read", at(20), 1.0), Happening("ann", "read", at(10), 1.0)], 1)
    assert vectors(partition)["ann"][:3] == [1.0, 1.0, 2.0]
    assert partition.tally.late == 1


def test_an_event_older_than_every_tile_counts_into_totals_only() -> None:
    partition = fed([Happening("ann", "read", at(50), 1.0), Happening("ann", "paid", at(5), 7.0)], 1)
    assert vectors(partition)["ann"][7] == 7.0
    assert partition.tally.expired == 1


def test_the_wall_clock_moves_an_idle_partition_at_its_own_pace() -> None:
    partition = fed([Happening("ann", "read", at(0, 3600), 1.0)])
    assert list(partition.advance(at(0, 3600) + 22 * 3_600_000_000)) == []
    effects = list(partition.advance(at(0, 3600) + 23 * 3_600_000_000))
    assert [type(effect) for effect in effects] == [Labels, Emission]
    assert partition.clock.watermark_us == at(1)


def test_a_replay_of_the_past_stays_in_the_past() -> None:
    history = [Happening("ann", "read", at(0), 1.0)]
    partition = Partition(LAYOUT, 0)
    events = admitted(history)
    late_arrival = dataclasses.replace(events, arrived_us=events.arrived_us + 4000 * DAY_US)
    list(partition.ingest(late_arrival, 1))
    assert list(partition.advance(at(4000) + 60_000_000)) == []


def test_unchanged_vectors_are_not_emitted_again() -> None:
    partition = fed([Happening("ann", "paid", at(0), 5.0)])
    kinds: list[Kind] = [e.kind for e in partition.advance(at(1)) if isinstance(e, Emission)]
    assert kinds == ["roll"]
    assert [e for e in partition.advance(at(2)) if isinstance(e, Emission)] == []


def test_labels_say_who_was_silent_for_the_whole_horizon() -> None:
    history = [
        Happening("ann", "read", at(0), 1.0),
        Happening("bob", "read", at(0), 1.0),
        Happening("bob", "read", at(20), 1.0),
    ]
    partition = fed(in_order(history))
    labels = [e for e in partition.advance(at(31)) if isinstance(e, Labels) and e.as_of_us == at(1)]
    names = partition.names(labels[0].slots)
    assert dict(zip(names, labels[0].churned.tolist(), strict=True)) == {"ann": True, "bob": False}


def test_updates_carry_the_oldest_arrival_that_is_new_in_them() -> None:
    partition = fed([Happening("ann", "read", at(0, 5), 1.0), Happening("ann", "read", at(0, 9), 1.0)], 1)
    first, second = partition.updates(), partition.updates()
    assert first is not None
    assert (first.arrived_us, first.as_of_us, second) == (at(0, 5), at(0, 9), None)


def test_a_million_activities_a_day_saturate_instead_of_overflowing() -> None:
    partition = fed([Happening("ann", "read", at(0), 1000.0, id=str(i)) for i in range(3)])
    minutes, nearly = LAYOUT.counter("minutes"), np.array([np.iinfo(np.int32).max - 1], np.int32)
    partition.slab.tiles.put(np.array([0]), np.array([partition.slab.day]), np.array([minutes]), nearly)
    list(partition.ingest(admitted([Happening("ann", "read", at(0), 1000.0, id="x")], 3), 4))
    assert int(partition.slab.tiles.ring(0).max()) == np.iinfo(np.int32).max
