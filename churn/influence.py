"""How much each row moves a measure: what lets a thousand resamples of a ranking cost one matrix product.

A resampled measure is the measure plus the sum of (times drawn) x influence over the rows, up to terms of 1/n^2 (the
infinitesimal jackknife). Influences of a measure sum to 0; of AUC they are DeLong's placements.
"""

import numpy as np
import numpy.typing as npt

from churn.evaluation import Mask
from churn.layout import Float64s


def auc_influence(churned: Mask, probability: Float64s) -> Float64s:
    """Return each row's influence on the AUC.

    >>> auc_influence(np.array([True, True, False]), np.array([0.9, 0.1, 0.5])).tolist()
    [0.25, -0.25, 0.0]
    """
    _, place = np.unique(probability, return_inverse=True)
    gone, stayed = _counts(place, churned), _counts(place, ~churned)
    beaten = (np.cumsum(stayed) - stayed / 2.0) / stayed.sum()
    missed = 1.0 - (np.cumsum(gone) - gone / 2.0) / gone.sum()
    area = float((gone * beaten).sum() / gone.sum())
    share = np.where(churned, beaten[place], missed[place])
    influence: Float64s = (share - area) / np.where(churned, gone.sum(), stayed.sum())
    return influence


def average_precision_influence(churned: Mask, probability: Float64s) -> Float64s:
    """Return each row's influence on the average precision (the derivative by the row's weight)."""
    _, place = np.unique(-probability, return_inverse=True)
    gone, everybody = _counts(place, churned), _counts(place, np.ones(len(churned), np.bool_))
    hits, called = np.cumsum(gone), np.cumsum(everybody)
    precision, total = hits / called, hits[-1]
    area = float((gone * precision).sum() / total)
    # A row counts in the precision of every threshold at or below its own probability.
    gained, lost = _from_here(gone / called), _from_here(gone * hits / called**2)
    influence: Float64s = (churned * (precision[place] - area + gained[place]) - lost[place]) / total
    return influence


def _counts(place: npt.NDArray[np.intp], counted: Mask) -> Float64s:
    counts: Float64s = np.bincount(place, counted.astype(np.float64)).astype(np.float64)
    return counts


def _from_here(values: Float64s) -> Float64s:
    """Return the sum from each position to the end."""
    sums: Float64s = np.cumsum(values[::-1])[::-1]
    return sums
