"""What a model's training rows looked like: the distribution of each feature, and of what the model said of them."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from churn.errors import DataError
from churn.layout import Float64s, Floats
from training.loop.psi import Bins, Values, bins_of, psi

REFERENCE_FILE = "reference.json"
"""Its name beside a registered version."""


class Distribution(msgspec.Struct, frozen=True):
    """Rows in each bin of one feature, or of the score."""

    bins: Bins
    counts: tuple[int, ...]

    def moved(self, values: Values) -> float:
        """Return the PSI of these values against this distribution, less what chance alone gives."""
        return psi(self.counts, self.bins.counts(values))


class Reference(msgspec.Struct, frozen=True):
    """The training rows of a version; `first_day` and `last_day` are the UTC days of its first and last midnight."""

    features: dict[str, Distribution]
    score: Distribution
    rows: int
    first_day: int
    last_day: int


def reference_of(
    names: Sequence[str], matrix: Floats, probability: Float64s, as_of_days: npt.NDArray[np.int32]
) -> Reference:
    """Return the reference of training rows.

    Args:
        names: the features in the order of the matrix's columns.
        matrix: float32 [rows, features]; missing is NaN.
        probability: what the trained model says of rows like these, best of such as it has not learnt from.
        as_of_days: the midnight of each row, UTC day numbers.

    Raises:
        DataError: there are no rows.
    """
    if not len(matrix):
        raise DataError("a reference needs training rows; there are none")
    features = {name: _distribution(matrix[:, column]) for column, name in enumerate(names)}
    score = _distribution(probability)
    return Reference(features, score, len(matrix), int(as_of_days.min()), int(as_of_days.max()))


def _distribution(values: Values) -> Distribution:
    bins = bins_of(values)
    return Distribution(bins, tuple(bins.counts(values).tolist()))


def encode(reference: Reference) -> str:
    """Return the reference as JSON."""
    return msgspec.json.encode(reference).decode()


def decode(text: str | bytes, where: str) -> Reference:
    """Read a reference; `where` names its origin.

    Raises:
        DataError: it is not one.
    """
    try:
        return msgspec.json.decode(text, type=Reference)
    except msgspec.MsgspecError as error:
        raise DataError(f"{where}: not a training reference: {error}; train the model again") from error
