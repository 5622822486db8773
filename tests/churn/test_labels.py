"""Histories that a naive label gets wrong."""

import numpy as np

from churn.labels import churned, in_population, label_known
from churn.layout import NEVER, NEVER_YET

DAY = 100
HORIZON = 30


def days(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return day numbers as the state keeps them."""
    return np.array(values, np.int32)


def test_a_user_who_never_came_is_in_no_population() -> None:
    assert in_population(days(NEVER), DAY, HORIZON).tolist() == [False]


def test_a_user_silent_for_exactly_the_horizon_still_counts() -> None:
    assert in_population(days(70, 69), DAY, HORIZON).tolist() == [True, False]


def test_activity_on_the_day_of_the_snapshot_is_future() -> None:
    assert in_population(days(100), DAY, HORIZON).tolist() == [False]
    assert churned(days(100), DAY, HORIZON).tolist() == [False]


def test_a_user_who_returns_right_after_the_horizon_has_churned() -> None:
    assert churned(days(129, 130, NEVER_YET), DAY, HORIZON).tolist() == [False, True, True]


def test_an_early_return_is_not_known_before_the_horizon_ends() -> None:
    assert label_known(days(101, 129, 130), DAY, HORIZON).tolist() == [False, False, True]
