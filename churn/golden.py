"""Golden rows: vectors with what a model must say of them, checked whenever the model is loaded."""

from collections.abc import Sequence

import msgspec
import numpy as np

from churn.errors import DataError
from churn.layout import Float64s, Floats

GOLDEN_TOLERANCE = 1e-9


class GoldenRow(msgspec.Struct, frozen=True):
    """A vector (None: missing), the probability that the model must give for it, and each feature's contribution.

    Without contributions, as in bundles from before they were written down, only the probability is checked.
    """

    values: list[float | None]
    probability: float
    contributions: list[float] = []


def matrix_of(golden: Sequence[GoldenRow]) -> Floats:
    """Return the rows' vectors as float32 [rows, features], NaN where missing."""
    return np.array([[np.nan if v is None else v for v in row.values] for row in golden], dtype=np.float32)


def rows_of(matrix: Floats, probability: Float64s, contributions: Float64s) -> list[GoldenRow]:
    """Write vectors down with what is expected of them."""
    values = [[None if np.isnan(v) else float(v) for v in row] for row in matrix]
    return [
        GoldenRow(row, float(p), shares.tolist())
        for row, p, shares in zip(values, probability, contributions, strict=True)
    ]


def check(golden: Sequence[GoldenRow], probability: Float64s, contributions: Float64s, who: str) -> None:
    """Compare what a model says of its golden rows with what is expected; `who` names it in messages.

    Raises:
        DataError: there are none, or a probability or a contribution differs by more than 1e-9.
    """
    if not golden:
        raise DataError(f"{who} has no golden rows to be verified by; do not serve it")
    expected = np.array([row.probability for row in golden])
    worst = float(np.abs(probability - expected).max())
    # A NaN is never within the tolerance.
    if not worst <= GOLDEN_TOLERANCE:
        raise DataError(f"{who}: golden rows differ by {worst:.2g}; do not serve it")
    for row, got in zip(golden, contributions, strict=True):
        if row.contributions:
            _check_shares(row, got, who)


def _check_shares(row: GoldenRow, got: Float64s, who: str) -> None:
    if len(row.contributions) != len(got):
        raise DataError(f"{who}: a golden row has {len(row.contributions)} contributions for {len(got)} features")
    worst = float(np.abs(got - np.array(row.contributions)).max())
    if not worst <= GOLDEN_TOLERANCE:
        raise DataError(f"{who}: contributions of a golden row differ by {worst:.2g}; do not serve it")
