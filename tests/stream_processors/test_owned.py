"""What of a partition is behind in the online store, and what goes there first."""

import numpy as np

from churn.partition import Partition
from stream_processors.owned import OwnedPartition
from tests.churn.histories import Happening, at, fed


def owned() -> OwnedPartition:
    """Return a partition of four users, whose changelog is not asked for anything."""
    state: Partition = fed([Happening(user, "read", at(0), 1.0) for user in ("ann", "bob", "cat", "dan")])
    return OwnedPartition(state, None, 1, 1, 0, 0)  # type: ignore[arg-type]  # nothing is written here


def test_users_with_new_events_go_before_those_of_a_midnight() -> None:
    partition = owned()
    partition.mark_stale(np.arange(4))
    partition.mark_stale(np.array([3]), urgent=True)
    assert partition.take_stale(10, 2, 1000)[0].tolist() == [3, 0]
    assert partition.take_stale(10, 2, 1000)[0].tolist() == [1, 2]


def test_whole_rows_that_nobody_waits_for_go_in_smaller_slices() -> None:
    partition = owned()
    partition.mark_stale(np.arange(4))
    whole = 8 * partition.take_stale(0, 0, 0)[1].shape[1]
    assert partition.take_stale(10, 10, 2 * whole)[0].tolist() == [0, 1]
    assert partition.waiting
    assert partition.take_stale(10, 10, 2 * whole)[0].tolist() == [2, 3]
    assert not partition.waiting


def test_a_midnight_that_is_not_written_yet_holds_up_no_checkpoint() -> None:
    partition = owned()
    partition.mark_stale(np.arange(4))
    assert not partition.behind
    partition.mark_stale(np.array([1]), urgent=True)
    assert partition.behind


def test_fields_that_changed_twice_are_remembered_together() -> None:
    partition = owned()
    for bits in (0b1000_0000, 0b0000_0001):
        partition.mark_stale(np.array([2]), np.full((1, partition.take_stale(0, 0, 0)[1].shape[1]), bits, np.uint8))
    slots, changed = partition.take_stale(10, 10, 1000)
    assert slots.tolist() == [2]
    assert set(changed.ravel().tolist()) == {0b1000_0001}
