"""Logistic regression fitted by scikit-learn and written down as plain numbers (`churn.model.LogisticModel`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from churn.evaluation import Mask
from churn.layout import Float64s, Floats
from churn.model import LogisticModel, Model, Scorer, signed_log1p
from training.calibration import AS_IT_IS, Recalibration, mean_loss
from training.goldens import with_golden
from training.rows import Fold, Rows, expit

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Candidates for C, scikit-learn's inverse strength of regularisation."""
DEFAULT_STRENGTH = 0.1


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
        return self.inputs_of(signed_log1p(matrix), np.isnan(matrix))

    def inputs_of(self, values: Float64s, missing: Mask) -> Float64s:
        """Return the same from the signed log1p of a matrix and where it is missing."""
        columns = self.sometimes_missing
        z = (values - self.mean) / self.scale
        z[missing] = 0.0
        return np.concatenate([z, missing[:, columns] - self.missing_rate[columns]], axis=1)


def scaling_of(matrix: Floats) -> Scaling:
    """Return the scaling of these rows; a column that is constant or wholly missing gets scale 1."""
    return _scaling_of(signed_log1p(matrix), np.isnan(matrix))


def _scaling_of(logs: Float64s, missing: Mask) -> Scaling:
    present = np.maximum((~missing).sum(axis=0), 1)
    values = np.where(missing, 0.0, logs)
    mean = values.sum(axis=0) / present
    variance = np.where(missing, 0.0, (values - mean) ** 2).sum(axis=0) / present
    # Below 1e-12 a column is one repeated number and its deviation is rounding.
    scale = np.where(variance > 1e-12, np.sqrt(variance), 1.0)
    return Scaling(mean, scale, missing.mean(axis=0))


@dataclass(frozen=True)
class Fitted:
    """A fitted regression with its scaling."""

    scaling: Scaling
    regression: LogisticRegression
    strength: float
    recalibration: Recalibration = AS_IT_IS

    def log_odds(self, matrix: Floats) -> Float64s:
        """Return scikit-learn's decision function, recalibrated."""
        raw = np.asarray(self.regression.decision_function(self.scaling.inputs(matrix)), np.float64)
        return self.recalibration.of(raw)

    def probability(self, matrix: Floats) -> Float64s:
        """Return the probability of churn of each row."""
        return expit(self.log_odds(matrix))


def fit(rows: Rows, strength: float) -> Fitted:
    """Fit one regression; the same rows give the same numbers."""
    # Logarithms take as long as four passes of the solver: once is enough.
    logs, missing = signed_log1p(rows.matrix), np.isnan(rows.matrix)
    scaling = _scaling_of(logs, missing)
    # Few columns and many rows: Newton's method needs 5-10 passes where lbfgs needs hundreds, without a random start.
    regression = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100, tol=1e-8)
    regression.fit(scaling.inputs_of(logs, missing), rows.churned)
    return Fitted(scaling, regression, strength)


def search(folds: Sequence[Fold]) -> tuple[float, list[Float64s]]:
    """Return the strength that does best on the folds, and what it says, fold by fold, of rows it did not see."""
    if not folds:
        return DEFAULT_STRENGTH, []
    said = {strength: [fit(f.early, strength).log_odds(f.late.matrix) for f in folds] for strength in STRENGTHS}
    best = min(STRENGTHS, key=lambda strength: mean_loss(folds, said[strength], AS_IT_IS))
    return best, said[best]


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
    weights = fitted.regression.coef_[0] * fitted.recalibration.slope
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
        float(fitted.recalibration.of(fitted.regression.intercept_)[0]),
        [],
        trained,
    )
    return with_golden(bare, examples, fitted.probability)


def scored(model: Model, matrix: Floats) -> Float64s:
    """Return a model's probabilities, block by block: 65,536 rows x 60 features in float64 take 31 MB."""
    scorer = Scorer(model, "")
    blocks = [scorer.score(matrix[start : start + 65_536]).probability for start in range(0, len(matrix), 65_536)]
    return np.concatenate(blocks) if blocks else np.zeros(0)
