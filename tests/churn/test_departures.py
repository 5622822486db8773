"""Users who were silent for a set time leave the state, and start anew when they return."""

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from churn.layout import DAY_US
from churn.packing import hold, pack
from churn.partition import Departures, Effect, Emission, Partition
from tests.churn.histories import LAYOUT, Happening, admitted, at, expected, fed, histories, same, vectors

END_DAY = 51
ttls = st.integers(1, 30)


def remembered(history: Sequence[Happening], ttl_days: int, until_day: int) -> dict[str, list[Happening]]:
    """Return what is known of each user by the plain rule: midnight by midnight, the silent ones are struck off."""
    known: dict[str, list[Happening]] = {}
    today = 0
    for happening in history:
        today = max(today, happening.at_us // DAY_US)
        known = struck(known, today - ttl_days)
        known.setdefault(happening.user, []).append(happening)
    return struck(known, at(until_day) // DAY_US - ttl_days)


def struck(known: dict[str, list[Happening]], first_day: int) -> dict[str, list[Happening]]:
    return {user: mine for user, mine in known.items() if max(h.at_us for h in mine) // DAY_US >= first_day}


@given(histories, ttls, st.integers(1, 9), st.randoms(use_true_random=False))
def test_stream_with_departures_equals_a_plain_recomputation(
    history: list[Happening], ttl_days: int, size: int, chance: random.Random
) -> None:
    ordered = sorted(history, key=lambda h: h.at_us + chance.randrange(3 * DAY_US))  # up to three days late
    found = vectors(fed(ordered, size, END_DAY, ttl_days))
    known = remembered(ordered, ttl_days, END_DAY)
    assert sorted(found) == sorted(known)
    assert all(same(found[user], expected(mine, user, at(END_DAY) // DAY_US)) for user, mine in known.items())


def test_the_rule_is_the_one_of_late_events_too() -> None:
    # The event of day 1 comes after its user was struck off, is all that is known of them, and goes at midnight.
    history = [
        Happening("ann", "read", at(0), 1.0),
        Happening("bob", "read", at(9), 1.0),
        Happening("ann", "read", at(1), 1.0),
    ]
    partition = fed(history, user_ttl_days=5)
    assert vectors(partition)["ann"][13] == 8.0
    assert sorted(vectors(fed(history, until_day=10, user_ttl_days=5))) == ["bob"]


@given(histories, ttls, st.integers(1, 9), st.integers(0, 60))
def test_a_restored_partition_goes_on_as_if_nothing_had_happened(
    history: list[Happening], ttl_days: int, size: int, cut: int
) -> None:
    ordered = sorted(history, key=lambda h: h.at_us)
    stored: dict[str, bytes] = {}
    partition = Partition(LAYOUT, 0, user_ttl_days=ttl_days)
    for start in range(0, len(ordered), size):
        if start <= cut < start + size:
            partition = restored(partition, stored)
        part = ordered[start : start + size]
        save(partition, stored, list(partition.ingest(admitted(part, start), start + len(part))))
    whole = fed(ordered, 1000, None, ttl_days)
    assert sorted(stored) == sorted(vectors(partition)) == sorted(vectors(whole))
    assert all(same(vector, vectors(partition)[user]) for user, vector in vectors(whole).items())


def save(partition: Partition, stored: dict[str, bytes], effects: list[Effect]) -> None:
    """Keep what a checkpoint keeps."""
    for departures in (effect for effect in effects if isinstance(effect, Departures)):
        for user in departures.users:
            stored.pop(user, None)
    slots = partition.take_unsaved()
    stored |= dict(zip(partition.names(slots), pack(hold(partition.slab, slots)), strict=True))


def restored(partition: Partition, stored: dict[str, bytes]) -> Partition:
    found = Partition(LAYOUT, 0, user_ttl_days=partition.user_ttl_days)
    found.restore(partition.clock, partition.next_offset, list(stored), list(stored.values()))
    return found


def test_the_last_day_is_kept_and_the_next_midnight_forgets() -> None:
    history = [Happening("ann", "failed", at(0))]
    assert list(vectors(fed(history, until_day=20, user_ttl_days=20))) == ["ann"]
    assert vectors(fed(history, until_day=21, user_ttl_days=20)) == {}


def test_nobody_leaves_without_a_limit() -> None:
    assert list(vectors(fed([Happening("ann", "read", at(0), 1.0)], until_day=5000))) == ["ann"]


def test_a_user_who_returns_starts_anew() -> None:
    history = [
        Happening("ann", "paid", at(0), 5.0),
        Happening("bob", "read", at(0), 1.0),
        Happening("ann", "paid", at(30), 7.0),
    ]
    partition = fed(history, user_ttl_days=20)
    assert (vectors(partition)["ann"][7], partition.present, partition.tally.departed) == (7.0, 1, 2)


def test_slots_that_were_left_are_taken_again() -> None:
    crowd = [Happening(f"u{day}-{n}", "read", at(day), 1.0) for day in range(0, 100, 5) for n in range(50)]
    partition = fed(crowd, user_ttl_days=10)
    assert (partition.users, partition.present) == (150, 150)
    assert len(partition.slab.slot_of) == 150


def test_departed_users_are_not_emitted_and_new_ones_in_their_slots_are_whole() -> None:
    partition = fed([Happening("ann", "read", at(0), 1.0), Happening("bob", "read", at(15), 1.0)], user_ttl_days=20)
    effects = list(partition.ingest(admitted([Happening("cem", "read", at(21), 1.0)], 2), 3))
    (departures,) = (effect for effect in effects if isinstance(effect, Departures))
    named = [partition.names(e.slots) for e in effects if isinstance(e, Emission) and e.as_of_us == at(21)]
    assert (departures.users, named) == (["ann"], [["bob"]])
    update = partition.updates()
    assert update is not None
    assert (partition.names(update.slots), update.slots.tolist()) == (["cem"], departures.slots.tolist())
    assert update.changed is not None
    assert np.unpackbits(update.changed, axis=1).all()


def test_a_failed_checkpoint_gives_back_no_user_who_left() -> None:
    partition = fed([Happening("ann", "read", at(0), 1.0), Happening("bob", "read", at(15), 1.0)], user_ttl_days=20)
    slots = partition.take_unsaved()
    list(partition.advance(partition.clock.arrived_us + at(21) - partition.clock.watermark_us))
    partition.mark_unsaved(slots)
    assert partition.names(partition.take_unsaved()) == ["bob"]
