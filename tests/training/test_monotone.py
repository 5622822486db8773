"""The sweep finds risk that falls with silence."""

import numpy as np
import pytest

from churn.additive import UNIT, AdditiveModel, Curve
from churn.declaration import Declaration
from churn.layout import Floats
from churn.rhythm import Rhythm, UInt64s, calendars_of
from training.monotone import Silence, sweeps

ONE = round(1 / UNIT)


def model(declaration: Declaration, units: list[int]) -> AdditiveModel:
    """Return a model of a curve over the days of silence: 0, 1, 2 and more, missing."""
    names = list(declaration.feature_names)
    column = names.index("days_since_last_activity")
    edges: list[list[float]] = [[] for _ in names]
    edges[column] = [1.0, 2.0]
    return AdditiveModel("m", "abc", names, edges, [Curve(column, units)], [], 0.0, [], {})


def days(declaration: Declaration, *values: float) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    matrix = np.zeros((len(values), len(declaration.features)), np.float32)
    matrix[:, declaration.feature_names.index("days_since_last_activity")] = values
    return matrix


def test_a_fall_is_counted_for_every_row(elearning: Declaration) -> None:
    falling = model(elearning, [0, 2 * ONE, ONE, 0])
    (found,) = sweeps(falling, elearning, days(elearning, 0, 1, 2, 3, np.nan))
    assert (found.feature, found.steps, found.violations, found.worst) == ("days_since_last_activity", 9, 3, 1.0)
    assert found.share == pytest.approx(1 / 3)


def test_a_rise_is_no_violation(elearning: Declaration) -> None:
    rising = model(elearning, [0, ONE, ONE, -ONE])
    (found,) = sweeps(rising, elearning, days(elearning, 0, 1, 2, 3))
    assert (found.steps, found.violations, found.worst) == (9, 0, 0.0)


def test_nothing_seen_is_nothing_swept(elearning: Declaration) -> None:
    (found,) = sweeps(model(elearning, [0, 0, 0, 0]), elearning, days(elearning, np.nan))
    assert (found.steps, found.share) == (0, 0.0)


def test_what_holds_silence_against_the_own_pauses_moves_with_it(elearning: Declaration) -> None:
    calendar = calendars_of(np.array([0, 0, 0]), np.array([4, 6, 11]), 1)
    after = calendars_of(np.array([0, 0, 0]), np.array([6, 8, 13]), 1)
    silence = Silence.of(elearning, elearning.feature_names.index("days_since_last_activity"))
    moved = silence.moved(vector(elearning, calendar, 4), 6.0)
    for name in ("silence_to_mean", "silence_to_longest", "silence_surprise"):
        column = elearning.feature_names.index(name)
        assert moved[0, column] == pytest.approx(vector(elearning, after, 6)[0, column]), name


def vector(declaration: Declaration, calendar: UInt64s, silent_days: int) -> Floats:
    """Return a vector of which only the rhythm and the silence are filled."""
    rhythm, matrix = Rhythm(calendar), days(declaration, silent_days)
    for name in ("silence_to_mean", "silence_to_longest", "silence_surprise", "gap_spread"):
        matrix[:, declaration.feature_names.index(name)] = getattr(rhythm, name)
    return matrix
