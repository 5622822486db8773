"""The sweep finds risk that falls with silence."""

import numpy as np

from churn.additive import UNIT, AdditiveModel, Curve
from churn.declaration import Declaration
from training.monotone import sweeps

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
    found, *_ = sweeps(falling, elearning, days(elearning, 0, 1, 2, np.nan))
    assert (found.feature, found.steps, found.violations, found.worst) == ("days_since_last_activity", 8, 4, 1.0)
    assert found.share == 0.5


def test_a_rise_is_no_violation(elearning: Declaration) -> None:
    rising = model(elearning, [0, ONE, ONE, -ONE])
    found, *_ = sweeps(rising, elearning, days(elearning, 0, 1, 2, 3))
    assert (found.steps, found.violations, found.worst) == (12, 0, 0.0)


def test_nothing_seen_is_nothing_swept(elearning: Declaration) -> None:
    found, *_ = sweeps(model(elearning, [0, 0, 0, 0]), elearning, days(elearning, np.nan))
    assert (found.steps, found.share) == (0, 0.0)


def test_silence_against_the_own_pauses_is_swept_too(elearning: Declaration) -> None:
    found = sweeps(model(elearning, [0, 0, 0, 0]), elearning, days(elearning, 0, 1))
    assert [sweep.feature for sweep in found] == [
        "days_since_last_activity",
        "silence_to_mean",
        "silence_to_longest",
        "silence_surprise",
    ]
