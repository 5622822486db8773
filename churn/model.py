"""A model as plain data: tables or weights in JSON, probabilities and exact reasons by a few array operations.

Every model is additive in the log-odds: each feature's contribution is known, and they sum, with the base, to the score.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from churn import additive, golden, logistic
from churn.additive import AdditiveForm, AdditiveModel
from churn.errors import DataError
from churn.golden import GOLDEN_TOLERANCE, GoldenRow
from churn.layout import Float64s, Floats
from churn.logistic import LogisticForm, LogisticModel, signed_log1p

__all__ = [
    "GOLDEN_TOLERANCE", "AdditiveModel", "Float64s", "GoldenRow", "LogisticModel", "Model", "Scored", "Scorer", "decode",
    "encode", "sha256", "signed_log1p", "strongest", "vector_of",
]  # fmt: skip

Model = LogisticModel | AdditiveModel


@dataclass(frozen=True)
class Scored:
    """Probabilities of n users and each feature's contribution to the log-odds; base + sum = log-odds."""

    probability: Float64s
    contributions: Float64s
    base: float


class Form(Protocol):
    """A model as arrays."""

    base: float

    def parts(self, matrix: Floats) -> tuple[Float64s, Float64s]:
        """Return contributions [n, features] and log-odds [n]; a row's do not depend on the others."""


class Scorer:
    """Applies one model to matrices of feature vectors."""

    def __init__(self, model: Model, version: str) -> None:
        self.model = model
        self.version = version
        self._form: Form = LogisticForm(model) if isinstance(model, LogisticModel) else AdditiveForm(model)

    def score(self, matrix: Floats) -> Scored:
        """Return probabilities and contributions for float32 [users, features] in the model's order."""
        contributions, log_odds = self._form.parts(matrix)
        return Scored(1.0 / (1.0 + np.exp(-log_odds)), contributions, self._form.base)

    def verify(self) -> None:
        """Score the golden rows; raises DataError when one differs from what training wrote down."""
        who = f"model {self.model.name} {self.version}"
        rows = self.model.golden
        if any(len(row.values) != len(self.model.features) for row in rows):
            raise DataError(
                f"{who}: golden rows are not vectors of {len(self.model.features)} features; do not serve it"
            )
        scored = self.score(golden.matrix_of(rows).reshape(len(rows), -1)) if rows else Scored(NOTHING, NOTHING, 0.0)
        golden.check(rows, scored.probability, scored.contributions, who)


NOTHING = np.zeros(0)


def strongest(contributions: Float64s, count: int) -> npt.NDArray[np.intp]:
    """Return the columns of the `count` largest absolute contributions of each row, largest first.

    >>> strongest(np.array([[0.1, -2.0, 0.5]]), 2).tolist()
    [[1, 2]]
    """
    size = np.abs(contributions)
    rows, count = np.arange(len(size)), min(count, size.shape[1])
    found = np.empty((len(size), count), np.intp)
    # Few are wanted, so looking for the largest again and again takes a fifth of the time of a partition.
    for place in range(count):
        found[:, place] = size.argmax(axis=1)
        size[rows, found[:, place]] = -1.0
    return found


def encode(model: Model) -> bytes:
    """Return the model as JSON."""
    return msgspec.json.format(msgspec.json.encode(model), indent=0)


def decode(data: bytes, where: str) -> Model:
    """Read a model and check its shape; `where` names its origin in messages."""
    try:
        model: Model = msgspec.json.decode(data, type=Model)
    except msgspec.MsgspecError as error:
        raise DataError(f"{where}: not a model that this version can read: {error}") from error
    if isinstance(model, LogisticModel):
        logistic.check_shape(model, where)
    else:
        additive.check_shape(model, where)
    return model


def sha256(data: bytes) -> str:
    """Return the hash that a champion record names."""
    return hashlib.sha256(data).hexdigest()


def vector_of(values: Mapping[str, float | None], names: Sequence[str]) -> Floats:
    """Return one float32 vector in the order of `names`; None is missing."""
    return np.array([np.nan if values[n] is None else values[n] for n in names], dtype=np.float32)
