"""Synthetic vectors, by a seed: what features of each kind look like, for measurements that need no history."""

import numpy as np
import numpy.typing as npt

from churn.declaration import ACTIVITY_COUNTER, RECENCY, Aggregate, Declaration, Feature
from churn.layout import Floats

SEED = 7
MISSING = 0.3
LIFETIME_DAYS = 200


class Vectors:
    """Vectors of users who differ in how active they are; the same block is the same whenever it is asked for."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration

    def block(self, number: int, users: int) -> Floats:
        """Return float32 [users, features]."""
        rng = np.random.default_rng([SEED, number])
        pace = rng.gamma(0.7, 1.0, users)
        columns = [self._column(feature, pace, rng) for feature in self._declaration.features]
        return np.stack(columns, axis=1).astype(np.float32)

    def churned(self, matrix: Floats) -> npt.NDArray[np.bool_]:
        """Return labels that follow silence, with much noise."""
        silence = [
            f.aggregate is Aggregate.DAYS_SINCE_LAST and f.source == ACTIVITY_COUNTER
            for f in self._declaration.features
        ]
        odds = 1.2 * np.log1p(matrix[:, silence].sum(axis=1)) - 3.0
        return np.asarray(np.random.default_rng(SEED).random(len(matrix)) < 1 / (1 + np.exp(-odds)), np.bool_)

    def _column(
        self, feature: Feature, pace: npt.NDArray[np.float64], rng: np.random.Generator
    ) -> npt.NDArray[np.floating]:
        kind = feature.aggregate
        if kind is Aggregate.IS:
            return (rng.random(len(pace)) < 1 / 3).astype(np.float32)
        if kind in RECENCY:
            return np.minimum(feature.cap, np.ceil(rng.exponential(2 / (pace + 0.05)))).astype(np.float32)
        if kind is Aggregate.DAYS:
            return rng.binomial(feature.window_days, 1 - np.exp(-pace / 2)).astype(np.float32)
        if kind in (Aggregate.SUM, Aggregate.TOTAL):
            return self._counts(feature, pace, rng)
        # Means, trends and what decays: any fraction, and missing without anything to measure.
        return np.where(rng.random(len(pace)) < MISSING, np.nan, pace * rng.gamma(2.0, 0.5, len(pace)))

    def _counts(
        self, feature: Feature, pace: npt.NDArray[np.float64], rng: np.random.Generator
    ) -> npt.NDArray[np.floating]:
        counts = rng.poisson(pace * (feature.window_days or LIFETIME_DAYS) / 4)
        scale = self._declaration.counters[feature.source].scale if feature.source in self._declaration.counters else 1
        # Whole events, or minutes and cents in the counter's own steps.
        return (
            np.rint(counts * rng.uniform(5, 30, len(pace)) * scale) / scale if scale > 1 else counts.astype(np.float32)
        )
