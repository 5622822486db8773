"""Which midnights are complete, on literal blocks."""

import numpy as np
import pytest

from churn.blocks import FeatureBlock, Kind
from churn.declaration import Declaration
from churn.population import Population
from training.loop.midnights import Midnights, Place

DAY_US = 86_400_000_000


@pytest.fixture
def midnights(elearning: Declaration) -> Midnights:
    """Return what gathers two partitions."""
    return Midnights(Population(elearning), elearning.feature_set_version, range(2), -1, {}, most=3)


def block(declaration: Declaration, partition: int, day: float, users: list[str], kind: Kind = "roll") -> FeatureBlock:
    matrix = np.zeros((len(users), len(declaration.feature_names)), np.float32)
    matrix[:, declaration.feature_names.index("days_since_last_activity")] = 1
    return FeatureBlock(
        kind, partition, 1, int(day * DAY_US), 7, 0, declaration.feature_set_version, users, matrix.tobytes()
    )


def test_a_midnight_is_complete_when_every_partition_shows_a_later_one(
    midnights: Midnights, elearning: Declaration
) -> None:
    midnights.take(0, 0, block(elearning, 0, 10, ["a"]), 0.0)
    midnights.take(0, 1, block(elearning, 0, 11, ["a"]), 0.0)
    midnights.take(1, 0, block(elearning, 1, 10, ["b"]), 0.0)
    assert midnights.next([], 100.0) is None
    midnights.take(1, 1, block(elearning, 1, 11, ["b"]), 0.0)
    found = midnights.next([], 0.0)
    assert found is not None
    assert (found.day, sorted(found.users), found.offsets) == (10, ["a", "b"], {0: 7, 1: 7})
    assert midnights.next([], 0.0) is None


def test_at_the_end_of_the_log_a_moment_without_blocks_ends_a_midnight(
    midnights: Midnights, elearning: Declaration
) -> None:
    for partition in (0, 1):
        midnights.take(partition, 0, block(elearning, partition, 10, ["a"]), 1.0)
    assert midnights.next([0, 1], 1.2) is None
    assert midnights.next([0], 2.0) is None
    found = midnights.next([0, 1], 2.0)
    assert found is not None
    assert found.day == 10


def test_a_silent_partition_is_waited_for_five_seconds(midnights: Midnights, elearning: Declaration) -> None:
    midnights.take(0, 0, block(elearning, 0, 10, ["a"]), 1.0)
    assert midnights.next([0, 1], 5.9) is None
    assert midnights.next([0, 1], 6.0) is not None


def test_a_sample_is_the_same_users_in_whatever_order_they_come(midnights: Midnights, elearning: Declaration) -> None:
    users = [f"u{number}" for number in range(20)]
    midnights.take(0, 0, block(elearning, 0, 10, users), 1.0)
    midnights.take(0, 1, block(elearning, 0, 11, users[::-1]), 1.0)
    first, second = midnights.next([1], 10.0), midnights.next([0, 1], 10.0)
    assert first is not None
    assert second is not None
    assert len(first.users) == 3
    assert sorted(first.users) == sorted(second.users)
    assert first.matrix.shape == (3, len(elearning.feature_names))


def test_blocks_of_a_former_owner_and_of_midnights_that_are_closed_count_no_more(
    midnights: Midnights, elearning: Declaration
) -> None:
    midnights.places = {0: Place(0, 2), 1: Place()}
    midnights.closed_day = 9
    midnights.take(0, 0, block(elearning, 0, 10, ["a"]), 1.0)
    midnights.take(1, 0, block(elearning, 1, 9, ["b"]), 1.0)
    assert midnights.next([0, 1], 100.0) is None


def test_a_restart_reads_open_midnights_again(midnights: Midnights, elearning: Declaration) -> None:
    midnights.take(0, 40, block(elearning, 0, 10, ["a"]), 1.0)
    midnights.take(0, 41, block(elearning, 0, 10.5, ["a"], "update"), 1.0)
    assert midnights.clock_us == 10.5 * DAY_US
    assert midnights.resume({0: 42, 1: 7}) == {0: Place(40, 1), 1: Place(7, 0)}


def test_a_log_is_settled_when_its_end_has_brought_no_midnight_for_five_seconds(
    midnights: Midnights, elearning: Declaration
) -> None:
    assert midnights.settled([0, 1], 0.0)
    assert not midnights.settled([0], 0.0)
    for partition in (0, 1):
        midnights.take(partition, 0, block(elearning, partition, 10, ["a"]), 1.0)
    assert not midnights.settled([0, 1], 9.0)
    assert midnights.next([0, 1], 2.0) is not None
    assert not midnights.settled([0, 1], 5.9)
    assert midnights.settled([0, 1], 6.0)


def test_of_a_midnight_before_the_wanted_day_no_vectors_are_taken(midnights: Midnights, elearning: Declaration) -> None:
    midnights.wanted_day = 11
    for day in (10, 11, 12):
        for partition in (0, 1):
            midnights.take(partition, day, block(elearning, partition, day, ["a"]), 1.0)
    found = [midnights.next([], 1.0), midnights.next([], 1.0)]
    assert [(each.day, each.users, len(each.offsets)) for each in found if each] == [(10, [], 2), (11, ["a"], 2)]
