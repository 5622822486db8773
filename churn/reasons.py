"""Contributions as sentences, by the words of the declaration."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from churn.declaration import Aggregate, Declaration, Feature
from churn.layout import Floats, Int64s
from churn.model import Float64s, strongest
from churn.scores import Reason

TOP_REASONS = 3
NO_VALUE = np.iinfo(np.int64).min
"""Stands for a missing value among tenths."""
MAX_TENTHS = 1e15
NO_FEATURE = -1
ASIDE = re.compile(r" *\([^()]*\{usual\}[^()]*\)")


@dataclass(frozen=True)
class Explained:
    """Reasons of n rows, strongest first, and the sum of all other contributions of each; base + all = log-odds."""

    reasons: list[list[Reason]]
    others: Float64s


class Explainer:
    """Turns contributions into the strongest reasons."""

    def __init__(self, declaration: Declaration) -> None:
        self._features, self._names = declaration.features, declaration.feature_names
        self._usual = np.array([_usual_column(declaration, f) for f in self._features], np.intp)
        # What is said depends on tenths, and those repeat (0, 1, 2 sessions): a sentence is looked up in 0.1 us, and
        # made in 1.5 us.
        self._sentence = lru_cache(maxsize=200_000)(self._say)

    def explained(self, matrix: Floats, contributions: Float64s, count: int = TOP_REASONS) -> Explained:
        """Return the `count` strongest reasons of each row, and what all others contribute."""
        columns = strongest(contributions, count)
        shares = np.take_along_axis(contributions, columns, axis=1)
        return Explained(self._named(matrix, columns, shares), others(contributions, shares))

    def _named(self, matrix: Floats, columns: npt.NDArray[np.intp], shares: Float64s) -> list[list[Reason]]:
        # One flat list of each part, put together by loops in C: 1 us a row, where a call a reason takes 3.
        reasons = list(
            map(
                Reason,
                map(self._names.__getitem__, columns.ravel().tolist()),
                _shown(np.take_along_axis(matrix, columns, axis=1)),
                shares.ravel().tolist(),
                self.sentences(matrix, columns),
            )
        )
        width = columns.shape[1]
        return [reasons[start : start + width] for start in range(0, len(reasons), width)]

    def sentences(self, matrix: Floats, columns: npt.NDArray[np.intp]) -> list[str]:
        """Return the sentence of each of these columns [rows, count], row by row."""
        values = tenths(np.take_along_axis(matrix, columns, axis=1)).ravel().tolist()
        usual = self._usual_tenths(matrix, columns).ravel().tolist()
        return list(map(self._sentence, columns.ravel().tolist(), values, usual))

    def _usual_tenths(self, matrix: Floats, columns: npt.NDArray[np.intp]) -> Int64s:
        beside = self._usual[columns]
        found = tenths(np.take_along_axis(matrix, np.maximum(beside, 0), axis=1))
        found[beside == NO_FEATURE] = NO_VALUE
        return found

    def _say(self, column: int, value: int, usual: int) -> str:
        return sentence(self._features[column], _value(value), _value(usual))


def others(contributions: Float64s, shares: Float64s) -> Float64s:
    """Return the sum of each row's contributions without the `shares` that are named.

    >>> others(np.array([[0.5, -2.0, 0.25]]), np.array([[-2.0]])).tolist()
    [0.75]
    """
    # As when log-odds are summed: each row in the same order, however many rows there are.
    return np.asarray(np.einsum("ij->i", contributions) - np.einsum("ij->i", shares), np.float64)


def _usual_column(declaration: Declaration, feature: Feature) -> int:
    return declaration.feature_names.index(feature.usual) if feature.usual else NO_FEATURE


def tenths(values: Floats) -> Int64s:
    """Return values in tenths, rounded half to even as text is; NO_VALUE where missing.

    >>> tenths(np.array([12.34, 0.25], np.float32)).tolist()
    [123, 2]
    """
    # A float32 times ten is exact in float64, so this rounds as formatting with one digit does.
    scaled = np.clip(np.rint(values.astype(np.float64) * 10), -MAX_TENTHS, MAX_TENTHS)
    return np.where(np.isnan(scaled), NO_VALUE, np.nan_to_num(scaled).astype(np.int64))


def _value(tenths: int) -> float | None:
    return None if tenths == NO_VALUE else tenths / 10


def _shown(values: Floats) -> list[float | None]:
    flat: list[float | None] = [*values.ravel().tolist()]
    for place in np.flatnonzero(np.isnan(values.ravel())).tolist():
        flat[place] = None
    return flat


def sentence(feature: Feature, value: float | None, usual: float | None = None) -> str:
    """Return a feature's value in words; `usual` is the value of the feature that its `usual` names.

    >>> sentence(Feature("d", Aggregate.DAYS_SINCE_LAST, "activity", "no activity for {value} days", cap=90), 12.0)
    'no activity for 12 days'
    """
    if feature.aggregate is Aggregate.IS:
        return feature.says if value else f"not: {feature.says}"
    says = _with_usual(feature.says, usual)
    if value is None:
        return says.replace("{value}", "(none)")
    shown = f"{feature.cap} or more" if feature.cap and value >= feature.cap else _number(value)
    return says.replace("{value}", shown)


def _with_usual(says: str, usual: float | None) -> str:
    """Return the words with what is usual; where that is not known, an aside about it is left out.

    >>> _with_usual("no activity for {value} days (usually {usual})", None)
    'no activity for {value} days'
    """
    if usual is None:
        return ASIDE.sub("", says).replace("{usual}", "unknown")
    return says.replace("{usual}", _number(usual))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
