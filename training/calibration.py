"""Probabilities that mean what they say: a slope and a shift of the log-odds, fitted on rows that the model did not see.

Both keep contributions additive: the slope multiplies each, the shift belongs to the base.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from churn.evaluation import Mask, log_loss
from churn.layout import Float64s
from training.rows import Fold, expit

MIN_GAIN = 0.001
"""A recalibration must lower the log loss of users it has not seen by a thousandth, or it is noise."""


@dataclass(frozen=True)
class Recalibration:
    """slope * log-odds + shift."""

    slope: float = 1.0
    shift: float = 0.0

    def of(self, log_odds: Float64s) -> Float64s:
        """Return recalibrated log-odds."""
        return self.slope * log_odds + self.shift


AS_IT_IS = Recalibration()


def recalibration(log_odds: Float64s, churned: Mask) -> Recalibration:
    """Return Platt's slope and shift (1999), or (1, 0) when they do not help the half that they were not fitted on."""
    first = np.arange(len(churned)) % 2 == 0
    if not all(part.any() and not part.all() for part in (churned[first], churned[~first])):
        return AS_IT_IS
    tried = _platt(log_odds[first], churned[first])
    before = log_loss(churned[~first], expit(log_odds[~first]))
    after = log_loss(churned[~first], expit(tried.of(log_odds[~first])))
    if tried.slope <= 0 or after > before * (1 - MIN_GAIN):
        return AS_IT_IS
    return _platt(log_odds, churned)


def over_folds(folds: Sequence[Fold], log_odds: Sequence[Float64s]) -> Recalibration:
    """Return the recalibration of what was said, fold by fold, of rows that were not learnt from."""
    if not folds:
        return AS_IT_IS
    return recalibration(np.concatenate(log_odds), np.concatenate([fold.late.churned for fold in folds]))


def mean_loss(folds: Sequence[Fold], log_odds: Sequence[Float64s], by: Recalibration) -> float:
    """Return the mean over folds of the log loss of recalibrated log-odds; NaN without folds."""
    losses = [log_loss(fold.late.churned, expit(by.of(said))) for fold, said in zip(folds, log_odds, strict=True)]
    return float(np.mean(losses)) if losses else float("nan")


def _platt(log_odds: Float64s, churned: Mask) -> Recalibration:
    line = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-8).fit(log_odds[:, None], churned)
    return Recalibration(float(line.coef_[0, 0]), float(line.intercept_[0]))
