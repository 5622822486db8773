"""Contributions as sentences, by the words of the declaration."""

import math
from functools import lru_cache

import numpy as np

from churn.declaration import Aggregate, Declaration, Feature
from churn.layout import Floats
from churn.model import Float64s, strongest
from churn.scores import Reason

TOP_REASONS = 3


class Explainer:
    """Turns contributions into the strongest reasons."""

    def __init__(self, declaration: Declaration) -> None:
        self._features, self._names = declaration.features, declaration.feature_names
        # Values repeat (0, 1, 2 sessions), so most sentences are looked up: 0.2 us instead of 1.5 us.
        self._sentence = lru_cache(maxsize=100_000)(self._say)

    def reasons(self, matrix: Floats, contributions: Float64s, count: int = TOP_REASONS) -> list[list[Reason]]:
        """Return the `count` strongest reasons of each row, strongest first."""
        columns = strongest(contributions, count)
        values = np.take_along_axis(matrix, columns, axis=1).tolist()
        shares = np.take_along_axis(contributions, columns, axis=1).round(4).tolist()
        rows = zip(columns.tolist(), values, shares, strict=True)
        return [list(map(self._reason, *row)) for row in rows]

    def _reason(self, column: int, value: float, contribution: float) -> Reason:
        shown = None if math.isnan(value) else value
        return Reason(self._names[column], shown, contribution, self._sentence(column, shown))

    def _say(self, column: int, value: float | None) -> str:
        return sentence(self._features[column], value)


def sentence(feature: Feature, value: float | None) -> str:
    """Return a feature's value in words.

    >>> sentence(Feature("d", Aggregate.DAYS_SINCE_LAST, "activity", "no activity for {value} days", cap=90), 12.0)
    'no activity for 12 days'
    """
    if feature.aggregate is Aggregate.IS:
        return feature.says if value else f"not: {feature.says}"
    if value is None:
        return feature.says.replace("{value}", "(none)")
    shown = f"{value:.1f}".removesuffix(".0")
    if feature.cap and value >= feature.cap:
        shown = f"{feature.cap} or more"
    return feature.says.replace("{value}", shown)
