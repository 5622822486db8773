"""Golden rows hold a model to what training wrote down."""

import numpy as np
import pytest

from churn import golden
from churn.errors import DataError
from churn.golden import GoldenRow

ROWS = [GoldenRow([1.0, None], 0.5, [0.25, -0.25])]


def test_rows_survive_being_written_down() -> None:
    matrix = golden.matrix_of(ROWS)
    assert np.isnan(matrix[0, 1])
    assert golden.rows_of(matrix, np.array([0.5]), np.array([[0.25, -0.25]])) == ROWS


@pytest.mark.parametrize(("probability", "shares", "why"), [
    (0.6, [0.25, -0.25], r"differ by 0\.1"),
    (float("nan"), [0.25, -0.25], "differ by nan"),
    (0.5, [-0.25, 0.25], r"contributions of a golden row differ by 0\.5"),
    (0.5, [0.25], "2 contributions for 1 features"),
])  # fmt: skip
def test_what_differs_is_refused(probability: float, shares: list[float], why: str) -> None:
    with pytest.raises(DataError, match=why):
        golden.check(ROWS, np.array([probability]), np.array([shares]), "model m 1")


def test_a_row_from_before_contributions_is_held_to_its_probability() -> None:
    old, shares = [GoldenRow([1.0], 0.5)], np.array([[0.1]])
    golden.check(old, np.array([0.5]), shares, "model m 1")
    with pytest.raises(DataError, match=r"differ by 0\.1"):
        golden.check(old, np.array([0.6]), shares, "model m 1")


def test_a_model_without_golden_rows_is_refused() -> None:
    with pytest.raises(DataError, match="no golden rows"):
        golden.check([], np.zeros(0), np.zeros((0, 2)), "model m 1")
