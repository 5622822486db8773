"""Golden rows for a model that was just written down: what its origin says, and what its own parts are."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
import numpy as np

from churn.additive import AdditiveModel
from churn.golden import rows_of
from churn.layout import Float64s, Floats
from churn.model import LogisticModel, Scorer

GOLDEN_ROWS = 8
Kind = TypeVar("Kind", LogisticModel, AdditiveModel)


def with_golden(model: Kind, examples: Floats, probability: Callable[[Floats], Float64s]) -> Kind:
    """Return the model with golden rows that span the probabilities from lowest to highest, and an empty row.

    `probability` is the library that fitted the model, so that loading checks the written form against it.
    """
    ranked = examples[np.argsort(probability(examples), kind="stable")]
    picked = ranked[np.linspace(0, len(ranked) - 1, GOLDEN_ROWS - 1).round().astype(np.intp)]
    rows = np.concatenate([picked, np.full((1, examples.shape[1]), np.nan, np.float32)])
    shares = Scorer(model, "").score(rows).contributions
    return msgspec.structs.replace(model, golden=rows_of(rows, probability(rows), shares))
