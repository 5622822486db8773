"""How far a population has moved from a reference: the population stability index over bins that hide nothing.

    PSI = sum over bins of (share - reference share) * ln(share / reference share)

Three sets of bins hide drift, so none is used here. Bins that end at the reference's smallest and largest value lose
what lies outside: here whatever lies outside has a bin below and one above. Quantiles of a counter that is mostly zero
fall together into one bin: here zero has a bin of its own, and so has a missing value. Bins of equal width are stretched
by one outlier until all others share a bin: here edges are quantiles. A feature of few values has a bin for each of
them, and one for every value that the reference never had.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Deciles, and finer at both ends: 3 % of machines at the upper end move a tenth by a third, a hundredth fourfold."""
FEW_VALUES = 12
"""Up to so many different values have a bin each: days of a week, weeks of nine, a plan, a payment's standing."""
HALF_A_ROW = 0.5
"""Added to every count, so that a bin which is empty on one side tells a finite amount (Krichevsky and Trofimov)."""
MISSING, ZERO, BELOW, ABOVE = range(4)
OWN_BINS = 4


class Bins(msgspec.Struct, frozen=True):
    """Where a value belongs: missing, zero, below or above all that the reference had, or a place among the others.

    Attributes:
        edges: few values: the values themselves, without zero. Otherwise inner edges; a bin ends with its edge.
        low, high: the smallest and the largest value of the reference; 0 both when it had none.
        few: every value has a bin, and one that the reference never had counts as `above` wherever it lies.
    """

    edges: tuple[float, ...]
    low: float
    high: float
    few: bool

    def __len__(self) -> int:
        return OWN_BINS + len(self.edges) + (0 if self.few else 1)

    def counts(self, values: Values) -> Counts:
        """Return how many of the values fall into each bin, int64 [len(self)]."""
        return np.bincount(self._places(values.astype(np.float64)), minlength=len(self))

    def _places(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        edges = np.array(self.edges)
        places = OWN_BINS + np.searchsorted(edges, values, side="left")
        if self.few:
            known = np.isin(values, edges)
            places = np.where(known, places, ABOVE)
        places = np.where(values < self.low, BELOW, places)
        places = np.where(values > self.high, ABOVE, places)
        places = np.where(values == 0.0, ZERO, places)
        return np.asarray(np.where(np.isnan(values), MISSING, places), np.intp)


def bins_of(values: Values) -> Bins:
    """Return bins for values like these, which may hold NaN.

    >>> bins_of(np.array([0.0, 0.0, 1.0, np.nan])).edges
    (1.0,)
    """
    present = values[~np.isnan(values)].astype(np.float64)
    if not len(present):
        return Bins((), 0.0, 0.0, few=True)
    other = present[present != 0.0]
    distinct = np.unique(other)
    low, high = float(present.min()), float(present.max())
    if len(distinct) <= FEW_VALUES:
        return Bins(tuple(distinct.tolist()), low, high, few=True)
    edges = np.unique(np.quantile(other, QUANTILES, method="inverted_cdf"))
    return Bins(tuple(edges[edges < distinct[-1]].tolist()), low, high, few=False)


def psi(reference: Sequence[int] | Counts, now: Sequence[int] | Counts) -> float:
    """Return how far `now` has moved from `reference` (rows a bin each), less what chance alone gives; at least 0.

    Two samples of one population differ by (bins - 1) * (1/n + 1/m) on average (Yurdakul 2018), which for 50 rows in 18
    bins is 0.34: more than the 0.25 that is commonly called a great shift.

    >>> round(psi([500, 500], [900, 100]), 2)
    0.87
    """
    expected, seen = np.asarray(reference, np.float64), np.asarray(now, np.float64)
    used = (expected + seen) > 0
    bins, rows, reference_rows = int(used.sum()), seen.sum(), expected.sum()
    if bins < 2 or not rows or not reference_rows:
        return 0.0
    before = (expected[used] + HALF_A_ROW) / (reference_rows + HALF_A_ROW * bins)
    after = (seen[used] + HALF_A_ROW) / (rows + HALF_A_ROW * bins)
    by_chance = (bins - 1) * (1.0 / rows + 1.0 / reference_rows)
    return max(0.0, float(np.sum((after - before) * np.log(after / before)) - by_chance))
