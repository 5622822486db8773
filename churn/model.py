"""A model as plain data: weights in JSON, probabilities and exact reasons by a few matrix operations.

The model is additive in the log-odds: every feature's contribution is known, and they sum, with the base, to the score.
For a linear model the contribution coef * (x - mean) is its interventional Shapley value (Lundberg and Lee 2017).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from churn.errors import DataError
from churn.layout import Floats

Float64s = npt.NDArray[np.float64]
GOLDEN_TOLERANCE = 1e-9


class GoldenRow(msgspec.Struct, frozen=True):
    """A vector (None: missing) and the probability that the model must give for it."""

    values: list[float | None]
    probability: float


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


@dataclass(frozen=True)
class Scored:
    """Probabilities of n users and each feature's contribution to the log-odds; base + sum = log-odds."""

    probability: Float64s
    contributions: Float64s
    base: float


class Scorer:
    """Applies one model to matrices of feature vectors."""

    def __init__(self, model: LogisticModel, version: str) -> None:
        self.model = model
        self.version = version
        self._mean, self._scale = np.array(model.mean), np.array(model.scale)
        self._weight, self._missing = np.array(model.weight), np.array(model.missing_weight)
        self._rate = np.array(model.missing_rate)

    def score(self, matrix: Floats) -> Scored:
        """Return probabilities and contributions for float32 [users, features] in the model's order."""
        missing = np.isnan(matrix)
        z = (signed_log1p(matrix) - self._mean) / self._scale
        z[missing] = 0.0
        contributions = z * self._weight + self._missing * (missing - self._rate)
        # einsum sums each row in the same order however many rows there are; a BLAS product does not.
        log_odds = self.model.intercept + np.einsum("ij->i", contributions)
        return Scored(1.0 / (1.0 + np.exp(-log_odds)), contributions, self.model.intercept)

    def verify(self) -> None:
        """Score the golden rows; raises DataError when one differs from what training wrote down."""
        if not self.model.golden:
            raise DataError(
                f"model {self.model.name} {self.version} has no golden rows to be verified by; do not serve it"
            )
        rows = [[np.nan if v is None else v for v in row.values] for row in self.model.golden]
        got = self.score(np.array(rows, dtype=np.float32)).probability
        expected = np.array([row.probability for row in self.model.golden])
        worst = float(np.abs(got - expected).max())
        # A NaN is never within the tolerance.
        if not worst <= GOLDEN_TOLERANCE:
            raise DataError(
                f"model {self.model.name} {self.version}: golden rows differ by {worst:.2g}; do not serve it"
            )


def strongest(contributions: Float64s, count: int) -> npt.NDArray[np.intp]:
    """Return the columns of the `count` largest absolute contributions of each row, largest first.

    >>> strongest(np.array([[0.1, -2.0, 0.5]]), 2).tolist()
    [[1, 2]]
    """
    size = np.abs(contributions)
    count = min(count, size.shape[1])
    part = np.argpartition(-size, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(size, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)


def encode(model: LogisticModel) -> bytes:
    """Return the model as JSON."""
    return msgspec.json.format(msgspec.json.encode(model), indent=1)


def decode(data: bytes, where: str) -> LogisticModel:
    """Read a model and check its shape; `where` names its origin in messages."""
    try:
        model = msgspec.json.decode(data, type=LogisticModel)
    except msgspec.MsgspecError as error:
        raise DataError(f"{where}: not a model that this version can read: {error}") from error
    columns = (model.mean, model.scale, model.weight, model.missing_weight, model.missing_rate)
    if any(len(column) != len(model.features) for column in columns):
        raise DataError(f"{where}: weights and features differ in number")
    return model


def sha256(data: bytes) -> str:
    """Return the hash that a champion record names."""
    return hashlib.sha256(data).hexdigest()


def vector_of(values: Mapping[str, float | None], names: Sequence[str]) -> Floats:
    """Return one float32 vector in the order of `names`; None is missing."""
    return np.array([np.nan if values[n] is None else values[n] for n in names], dtype=np.float32)
