"""Logistic regression fitted by scikit-learn and written down as plain numbers (`churn.model.LogisticModel`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from churn.evaluation import Mask, log_loss
from churn.layout import Float64s, Floats
from churn.model import LogisticModel, Model, Scorer, signed_log1p
from training.goldens import with_golden

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Candidates for C, scikit-learn's inverse strength of regularisation."""
DEFAULT_STRENGTH = 0.1
FOLD_ROWS = 40_000
"""The strength is chosen on at most so many rows a fold: the choice differs by 0.0001 in log loss from that on all."""
MIN_GAIN = 0.001
"""A recalibration must lower the log loss of users it has not seen by a thousandth, or it is noise."""


@dataclass(frozen=True)
class Rows:
    """Vectors and labels: float32 [n, features], bool [n], and the snapshot (UTC day number) of each row."""

    matrix: Floats
    churned: Mask
    days: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.churned)

    def take(self, rows: Mask | slice | npt.NDArray[np.intp]) -> "Rows":
        """Return some of the rows."""
        return Rows(self.matrix[rows], self.churned[rows], self.days[rows])

    def of(self, days: Sequence[int]) -> "Rows":
        """Return the rows of these snapshots."""
        return self.take(np.isin(self.days, np.array(days, np.int32)))


@dataclass(frozen=True)
class Scaling:
    """Means and deviations of the signed log1p of present values, and how often a value is missing."""

    mean: Float64s
    scale: Float64s
    missing_rate: Float64s

    @property
    def sometimes_missing(self) -> npt.NDArray[np.intp]:
        """Return the columns that deserve a weight for being missing."""
        return np.flatnonzero((self.missing_rate > 0) & (self.missing_rate < 1))

    def inputs(self, matrix: Floats) -> Float64s:
        """Return float64 [n, features + sometimes missing]: standardised values, 0 where missing; missing - rate."""
        missing, columns = np.isnan(matrix), self.sometimes_missing
        z = (signed_log1p(matrix) - self.mean) / self.scale
        z[missing] = 0.0
        return np.concatenate([z, missing[:, columns] - self.missing_rate[columns]], axis=1)


def scaling_of(matrix: Floats) -> Scaling:
    """Return the scaling of these rows; a column that is constant or wholly missing gets scale 1."""
    missing = np.isnan(matrix)
    present = np.maximum((~missing).sum(axis=0), 1)
    values = np.where(missing, 0.0, signed_log1p(matrix))
    mean = values.sum(axis=0) / present
    variance = np.where(missing, 0.0, (values - mean) ** 2).sum(axis=0) / present
    # Below 1e-12 a column is one repeated number and its deviation is rounding.
    scale = np.where(variance > 1e-12, np.sqrt(variance), 1.0)
    return Scaling(mean, scale, missing.mean(axis=0))


@dataclass(frozen=True)
class Fitted:
    """A fitted regression with its scaling; `slope` and `shift` recalibrate its log-odds."""

    scaling: Scaling
    regression: LogisticRegression
    strength: float
    slope: float = 1.0
    shift: float = 0.0

    def log_odds(self, matrix: Floats) -> Float64s:
        """Return scikit-learn's decision function, recalibrated."""
        raw = np.asarray(self.regression.decision_function(self.scaling.inputs(matrix)), np.float64)
        return self.slope * raw + self.shift

    def probability(self, matrix: Floats) -> Float64s:
        """Return the probability of churn of each row."""
        return expit(self.log_odds(matrix))


def expit(log_odds: Float64s) -> Float64s:
    """Return 1 / (1 + exp(-x)).

    >>> expit(np.array([0.0])).tolist()
    [0.5]
    """
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), np.float64)


def fit(rows: Rows, strength: float) -> Fitted:
    """Fit one regression; the same rows give the same numbers."""
    scaling = scaling_of(rows.matrix)
    # Few columns and many rows: Newton's method needs 5-10 passes where lbfgs needs hundreds, without a random start.
    regression = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100, tol=1e-8)
    regression.fit(scaling.inputs(rows.matrix), rows.churned)
    return Fitted(scaling, regression, strength)


def fit_in_time(rows: Rows, folds: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Fitted:
    """Choose the strength on time-ordered folds (train days, later days), fit all rows, recalibrate if it helps later users."""
    pairs = [(_thinned(rows.of(early)), _thinned(rows.of(late))) for early, late in folds]
    pairs = [(early, late) for early, late in pairs if _both(early) and _both(late)]
    if not pairs:
        return fit(rows, DEFAULT_STRENGTH)
    losses = {strength: _loss(pairs, strength) for strength in STRENGTHS}
    strength = min(losses, key=lambda candidate: losses[candidate])
    early, late = pairs[-1]
    slope, shift = recalibration(fit(early, strength).log_odds(late.matrix), late.churned)
    whole = fit(rows, strength)
    return Fitted(whole.scaling, whole.regression, strength, slope, shift)


def _thinned(rows: Rows) -> Rows:
    step = -(-len(rows) // FOLD_ROWS)
    return rows.take(slice(None, None, max(step, 1)))


def _both(rows: Rows) -> bool:
    return bool(rows.churned.any()) and not bool(rows.churned.all())


def _loss(pairs: Sequence[tuple[Rows, Rows]], strength: float) -> float:
    return float(
        np.mean([log_loss(late.churned, fit(early, strength).probability(late.matrix)) for early, late in pairs])
    )


def recalibration(log_odds: Float64s, churned: Mask) -> tuple[float, float]:
    """Return Platt's slope and shift (1999), or (1, 0) when they do not help the half that they were not fitted on."""
    first = np.arange(len(churned)) % 2 == 0
    if not all(part.any() and not part.all() for part in (churned[first], churned[~first])):
        return 1.0, 0.0
    slope, shift = _platt(log_odds[first], churned[first])
    before = log_loss(churned[~first], expit(log_odds[~first]))
    after = log_loss(churned[~first], expit(slope * log_odds[~first] + shift))
    if slope <= 0 or after > before * (1 - MIN_GAIN):
        return 1.0, 0.0
    return _platt(log_odds, churned)


def _platt(log_odds: Float64s, churned: Mask) -> tuple[float, float]:
    line = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-8).fit(log_odds[:, None], churned)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def export(
    fitted: Fitted,
    name: str,
    feature_set_version: str,
    features: Sequence[str],
    examples: Floats,
    trained: dict[str, str | float | int],
) -> LogisticModel:
    """Write a fitted model down; golden rows, from `examples`, hold what scikit-learn says about them."""
    count = len(features)
    weights = fitted.regression.coef_[0] * fitted.slope
    missing_weights = np.zeros(count)
    missing_weights[fitted.scaling.sometimes_missing] = weights[count:]
    bare = LogisticModel(
        name,
        feature_set_version,
        list(features),
        fitted.scaling.mean.tolist(),
        fitted.scaling.scale.tolist(),
        weights[:count].tolist(),
        missing_weights.tolist(),
        fitted.scaling.missing_rate.tolist(),
        float(fitted.regression.intercept_[0]) * fitted.slope + fitted.shift,
        [],
        trained,
    )
    return with_golden(bare, examples, fitted.probability)


def scored(model: Model, matrix: Floats) -> Float64s:
    """Return a model's probabilities, block by block: 65,536 rows x 60 features in float64 take 31 MB."""
    scorer = Scorer(model, "")
    blocks = [scorer.score(matrix[start : start + 65_536]).probability for start in range(0, len(matrix), 65_536)]
    return np.concatenate(blocks) if blocks else np.zeros(0)
