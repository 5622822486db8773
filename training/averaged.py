"""Halfway from the champion to a new model: what is tried when the gate keeps the champion.

Two logistic regressions differ little after a week, and by the draw of the hold-out one of them may look worse for sure:
so did 9 of 160 weekly trainings of two years of 5,000 users, each less than 0.9 % above the champion. The log loss is convex in the log-odds, so the mean of both models' log-odds loses at most the mean of their losses: half
as far from the champion, and less by what the two err differently. The gate lets 8 of those 9 pass. Half of it learnt from
the newest rows, and no champion grows old for want of a surely better one.
"""

import msgspec
import numpy as np

from churn.layout import Float64s, Floats
from churn.model import LogisticModel, Model, Scorer
from training.goldens import with_golden
from training.rows import expit

NAME = "averaged"


def averaged(new: Model, champion: Model, version: str, examples: Floats) -> LogisticModel | None:
    """Return the model whose log-odds are the mean of both models'; None unless both are logistic regressions.

    It is written in the new model's scaling and keeps its facts, with the champion's `version`; golden rows, from
    `examples`, hold the mean of what both models say.
    """
    if not (isinstance(new, LogisticModel) and isinstance(champion, LogisticModel)):
        return None
    other = rescaled(champion, new)
    mean = msgspec.structs.replace(
        new,
        weight=_mean(new.weight, other.weight),
        missing_weight=_mean(new.missing_weight, other.missing_weight),
        intercept=(new.intercept + other.intercept) / 2,
        trained={**new.trained, "candidate": NAME, "averaged_with": version},
    )

    def probability(matrix: Floats) -> Float64s:
        said = [_log_odds(model, matrix) for model in (new, champion)]
        return expit((said[0] + said[1]) / 2)

    return with_golden(mean, examples, probability)


def rescaled(model: LogisticModel, like: LogisticModel) -> LogisticModel:
    """Return a model that says the same with the means, scales and missing rates of another one.

    For a present value (s - m) / scale = (s - m') / scale' * (scale' / scale) + (m' - m) / scale. The last part falls away
    where the value is missing: it goes to the intercept, and off the weight of a missing value.
    """
    mean, scale, weight, missing, rate = _columns(model)
    mean_like, scale_like, _, _, rate_like = _columns(like)
    moved = weight * (mean_like - mean) / scale
    lost = missing - moved
    return msgspec.structs.replace(
        model,
        mean=like.mean,
        scale=like.scale,
        missing_rate=like.missing_rate,
        weight=(weight * scale_like / scale).tolist(),
        missing_weight=lost.tolist(),
        intercept=float(model.intercept + np.sum(moved - missing * rate + lost * rate_like)),
    )


def _columns(model: LogisticModel) -> list[Float64s]:
    columns = (model.mean, model.scale, model.weight, model.missing_weight, model.missing_rate)
    return [np.array(column, np.float64) for column in columns]


def _mean(one: list[float], other: list[float]) -> list[float]:
    return [(a + b) / 2 for a, b in zip(one, other, strict=True)]


def _log_odds(model: LogisticModel, matrix: Floats) -> Float64s:
    scored = Scorer(model, "").score(matrix)
    return np.asarray(scored.base + scored.contributions.sum(axis=1))
