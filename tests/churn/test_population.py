"""Who the probability speaks of, by the declaration's label."""

import numpy as np
import pytest

from churn.declaration import parse
from churn.errors import DeclarationError
from churn.population import Population, activity_teller
from tests.churn.histories import LEAVERS, LEAVING

SILENT_DAYS = np.array([[0.0, 0.0], [1.0, 0.0], [30.0, 0.0], [31.0, 0.0], [np.nan, 0.0]], np.float32)


def test_activity_within_the_horizon_is_active_today_included() -> None:
    assert Population(LEAVERS).active(SILENT_DAYS).tolist() == [True, True, True, False, False]


def test_activity_of_the_day_that_begins_is_not_of_the_midnight() -> None:
    assert Population(LEAVERS).at_midnight(SILENT_DAYS).tolist() == [False, True, True, False, False]


def test_excluded_users_are_in_neither() -> None:
    matrix = np.array([[3.0, 1.0], [3.0, 0.0]], np.float32)
    assert Population(LEAVERS).active(matrix).tolist() == [False, True]
    assert Population(LEAVERS).at_midnight(matrix).tolist() == [False, True]


def test_where_the_features_cannot_tell_everybody_is_active() -> None:
    blind = parse(LEAVING.replace("days_since_last: activity, cap: 90", "total: activity"), "test")
    assert activity_teller(blind)(SILENT_DAYS).tolist() == [True] * 5
    assert activity_teller(LEAVERS)(SILENT_DAYS).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cap: 90", "cap: 30", "with a cap above 30"),
        ("days_since_last: activity, cap: 90", "total: activity", "add the feature `days_since_last_activity"),
        ("{is: standing, value: gone", "{is: standing, value: here", "add the feature `standing_gone"),
    ],
)
def test_a_declaration_that_does_not_tell_the_population_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        Population(parse(LEAVING.replace(old, new), "test"))
