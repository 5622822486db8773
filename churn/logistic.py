"""Logistic regression as plain numbers, with exact contributions.

For a linear model the contribution coef * (x - mean) is its interventional Shapley value (Lundberg and Lee 2017).
"""

import msgspec
import numpy as np
import numpy.typing as npt

from churn.errors import DataError
from churn.golden import GoldenRow
from churn.layout import Float64s, Floats


class LogisticModel(msgspec.Struct, frozen=True, tag="logistic", tag_field="kind"):
    """Logistic regression on standardised signed log1p features, with a weight for a missing value.

    z = (sign(x) log(1 + |x|) - mean) / scale, 0 where x is missing;
    log-odds = intercept + sum(weight * z + missing_weight * (missing - missing_rate)).
    """

    name: str
    feature_set_version: str
    features: list[str]
    mean: list[float]
    scale: list[float]
    weight: list[float]
    missing_weight: list[float]
    missing_rate: list[float]
    intercept: float
    golden: list[GoldenRow]
    trained: dict[str, str | float | int]
    """Facts about the training: data range, rows, seed, metrics; shown, never computed with."""


def signed_log1p(matrix: npt.NDArray[np.floating]) -> Float64s:
    """Return sign(x) log(1 + |x|) elementwise, NaN where x is NaN.

    >>> signed_log1p(np.array([0.0, -1.0])).round(3).tolist()
    [0.0, -0.693]
    """
    wide = matrix.astype(np.float64)
    return np.sign(wide) * np.log1p(np.abs(wide))


class LogisticForm:
    """A logistic model as arrays, ready to be applied."""

    def __init__(self, model: LogisticModel) -> None:
        self.base = model.intercept
        self._mean, self._scale = np.array(model.mean), np.array(model.scale)
        self._weight, self._missing = np.array(model.weight), np.array(model.missing_weight)
        self._rate = np.array(model.missing_rate)

    def parts(self, matrix: Floats) -> tuple[Float64s, Float64s]:
        """Return each feature's contribution [n, features] and the log-odds [n], the same whatever the other rows."""
        missing = np.isnan(matrix)
        z = (signed_log1p(matrix) - self._mean) / self._scale
        z[missing] = 0.0
        contributions = z * self._weight + self._missing * (missing - self._rate)
        # einsum sums each row in the same order however many rows there are; a BLAS product does not.
        return contributions, self.base + np.einsum("ij->i", contributions)


def check_shape(model: LogisticModel, where: str) -> None:
    """Raise DataError unless there is one of each number a feature."""
    columns = (model.mean, model.scale, model.weight, model.missing_weight, model.missing_rate)
    if any(len(column) != len(model.features) for column in columns):
        raise DataError(f"{where}: weights and features differ in number")
