"""The online model in the form that is registered and served, recalibrated, and held to what River itself says."""

from collections.abc import Mapping

import msgspec
import numpy as np

from churn.layout import Float64s, Floats
from churn.logistic import LogisticModel
from training.calibration import AS_IT_IS, Recalibration
from training.goldens import with_golden
from training.online import OnlineLearner
from training.rows import expit

CLIP = 1e-6
Facts = Mapping[str, str | float | int]


def exported(
    learner: OnlineLearner, name: str, examples: Floats, by: Recalibration = AS_IT_IS, facts: Facts | None = None
) -> LogisticModel:
    """Return the learner's present weights with slope and shift; golden rows, of `examples`, are River's own predictions."""
    plain = learner.export(name, examples)
    scaled = msgspec.structs.replace(
        plain,
        weight=(by.slope * np.array(plain.weight)).tolist(),
        missing_weight=(by.slope * np.array(plain.missing_weight)).tolist(),
        intercept=by.slope * plain.intercept + by.shift,
        trained={**(facts or {}), **plain.trained},
    )
    return with_golden(scaled, examples, lambda matrix: expit(by.of(logit(learner.predict(matrix)))))


def logit(probability: Float64s) -> Float64s:
    """Return log-odds; certainty is taken for one in a million.

    >>> logit(np.array([0.5, 0.0])).round(3).tolist()
    [0.0, -13.816]
    """
    said = np.clip(probability, CLIP, 1.0 - CLIP)
    return np.asarray(np.log(said) - np.log1p(-said), np.float64)
