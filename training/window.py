"""The last rows whose label became known, and how well a model had foretold them.

The rows keep their vectors, so that a champion is judged on the very rows that the online model was judged on, also
one that was promoted after they were learnt.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from churn.evaluation import Mask, auc, calibration_table, expected_calibration_error, log_loss
from churn.layout import Float64s, Floats, Int32s

WINDOW_ROWS = 5000
"""The log loss of so many rows is known to 0.006 or so, and 5,000 x 75 float32 add 2 MB to a snapshot."""


@dataclass(frozen=True)
class Judged:
    """Progressive measures; NaN where rows, or one of the two classes, are missing.

    The calibration error is the mean distance of what was said from what happened, over ten bins of equal size.
    """

    rows: int
    log_loss: float
    auc: float
    calibration_error: float


NOTHING = Judged(0, float("nan"), float("nan"), float("nan"))


def judge(churned: Mask, probability: Float64s) -> Judged:
    """Return how well these probabilities foretold what happened."""
    if not len(churned):
        return NOTHING
    both = bool(churned.any()) and not bool(churned.all())
    ranked = auc(churned, probability) if both else float("nan")
    error = expected_calibration_error(calibration_table(churned, probability))
    return Judged(len(churned), log_loss(churned, probability), ranked, error)


class WindowState(msgspec.Struct, frozen=True):
    """Rows as little-endian arrays: float32 [n, features], booleans, int32 days, float64 probabilities."""

    matrix: bytes = b""
    churned: bytes = b""
    as_of_days: bytes = b""
    probability: bytes = b""


NO_ROWS = WindowState()


class Window:
    """The newest rows with the probability that could be issued at their midnight."""

    def __init__(self, features: int, state: WindowState = NO_ROWS) -> None:
        self.matrix: Floats = np.frombuffer(state.matrix, "<f4").reshape(-1, features)
        self.churned: Mask = np.frombuffer(state.churned, np.bool_)
        self.as_of_days: Int32s = np.frombuffer(state.as_of_days, "<i4")
        self.probability: Float64s = np.frombuffer(state.probability, "<f8")

    def add(self, as_of_day: int, matrix: Floats, churned: Mask, probability: Float64s) -> None:
        """Remember rows; the oldest beyond the limit are forgotten."""
        self.matrix = np.concatenate([self.matrix, matrix])[-WINDOW_ROWS:]
        self.churned = np.concatenate([self.churned, churned])[-WINDOW_ROWS:]
        days = np.full(len(churned), as_of_day, np.int32)
        self.as_of_days = np.concatenate([self.as_of_days, days])[-WINDOW_ROWS:]
        self.probability = np.concatenate([self.probability, probability])[-WINDOW_ROWS:]

    def judged(self, rows: Mask | None = None) -> Judged:
        """Return the measures of what was said, on all rows or on these."""
        if rows is None:
            return judge(self.churned, self.probability)
        return judge(self.churned[rows], self.probability[rows])

    def state(self) -> WindowState:
        """Return everything as plain bytes."""
        return WindowState(
            self.matrix.astype("<f4").tobytes(),
            self.churned.tobytes(),
            self.as_of_days.astype("<i4").tobytes(),
            self.probability.astype("<f8").tobytes(),
        )
