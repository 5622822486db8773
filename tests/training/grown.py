"""Made-up rows of which the law is known, and trees grown on them."""

import hashlib
from collections.abc import Sequence

import numpy as np

from churn.additive import AdditiveModel
from churn.model import decode, encode
from training.boosting import Boosted, Boosting, boost, export
from training.rows import Rows

SMALL = Boosting(trees=80, min_leaf=20, bins=32)
NAMES = ["a", "b", "c", "d", "e"]


def rows(count: int, seed: int = 0) -> Rows:
    """Return counts of which the first two drive churn together; the fourth is often missing, and that matters."""
    random = np.random.default_rng(seed)
    matrix = random.gamma(2.0, 3.0, (count, 5)).astype(np.float32)
    matrix[:, :2] = np.floor(matrix[:, :2])
    matrix[random.random(count) < 0.3, 3] = np.nan
    log_odds = (
        1.0 - np.log1p(matrix[:, 0]) * (matrix[:, 1] > 5) + np.where(np.isnan(matrix[:, 3]), 0.7, -0.1 * matrix[:, 2])
    )
    churned = random.random(count) < 1 / (1 + np.exp(-log_odds))
    return Rows(matrix, churned, np.repeat(np.arange(8, dtype=np.int32) * 10, count // 8))


def fitted(data: Rows, monotone: Sequence[int] = (0, 0, 0, 0, 0)) -> Boosted:
    return boost(data, SMALL, monotone)


def exported(found: Boosted, data: Rows) -> AdditiveModel:
    """Return the fitted model as it is served, through its JSON."""
    made = export(found, "m", "f" * 12, NAMES, data.matrix, data.matrix[:500], {"rows": len(data)})
    read = decode(encode(made), "test")
    assert isinstance(read, AdditiveModel)
    return read


def digest() -> str:
    """Return the hash of a bundle's bytes."""
    data = rows(2000)
    return hashlib.sha256(encode(exported(fitted(data), data))).hexdigest()
