"""Whether what a model says can be meant: bounds on the distribution of its scores, checked at once after a promotion.

The gate judged the version on a hold-out; this looks at what it says of everybody today. It is the last line against a
model that was damaged on its way, reads its inputs wrongly, or answers the same for everyone.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from churn.layout import Float64s

GUARD_ROWS = 5000
"""Users by hash, always the same: their mean and ranks are known to within a hundredth."""
SAME_DIGITS = 6


@dataclass(frozen=True)
class GuardPolicy:
    """Every bound, in one place.

    Attributes:
        least_rows: with fewer users nothing is judged.
        same_share: of users who get the same probability (to 6 digits).
        least_spread: standard deviation of the log-odds.
        mean_factor: how many times the mean may be above or below the rate of the training rows, and the former's mean.
        least_rank: Spearman's correlation with the scores of the former champion.
    """

    least_rows: int = 100
    same_share: float = 0.5
    least_spread: float = 0.1
    mean_factor: float = 3.0
    least_rank: float = 0.3


AS_STATED = GuardPolicy()


class Violation(msgspec.Struct, frozen=True):
    """A bound that was left: `seen` and `bound` in the same unit."""

    name: str
    seen: float
    bound: float
    says: str


def violations(probability: Float64s, expected_rate: float | None, policy: GuardPolicy = AS_STATED) -> list[Violation]:
    """Return which bounds these scores leave by themselves; `expected_rate` is the share of churners in the training rows.

    >>> [each.name for each in violations(np.full(1000, 0.5), 0.3)]
    ['same', 'spread']
    """
    if len(probability) < policy.least_rows:
        return []
    unusable = float(np.mean(~(np.isfinite(probability) & (probability >= 0.0) & (probability <= 1.0))))
    if unusable:
        return [Violation("unusable", unusable, 0.0, f"{unusable:.1%} of the scores are no probabilities")]
    found = [*_same(probability, policy)]
    if expected_rate:
        found += _mean(probability, expected_rate, "the share of churners in its training rows", policy)
    return found


def _same(probability: Float64s, policy: GuardPolicy) -> list[Violation]:
    _, counts = np.unique(probability.round(SAME_DIGITS), return_counts=True)
    share, spread = float(counts.max() / len(probability)), float(_log_odds(probability).std())
    found = []
    if share > policy.same_share:
        says = f"{share:.1%} of the users get the same score, at most {policy.same_share:.0%} may"
        found.append(Violation("same", share, policy.same_share, says))
    if spread < policy.least_spread:
        says = (
            f"the scores hardly differ: log-odds spread by {spread:.3f}, at least {policy.least_spread:g} is asked for"
        )
        found.append(Violation("spread", spread, policy.least_spread, says))
    return found


def _mean(probability: Float64s, other: float, what: str, policy: GuardPolicy) -> list[Violation]:
    mean = float(probability.mean())
    ratio = max(mean, 1e-9) / max(other, 1e-9)
    if 1.0 / policy.mean_factor <= ratio <= policy.mean_factor:
        return []
    says = f"the mean score is {mean:.3f}, {what} {other:.3f}: {ratio:.2f} times, beyond a factor of {policy.mean_factor:g}"
    return [Violation("mean", ratio, policy.mean_factor, says)]


def compared(probability: Float64s, former: Float64s, policy: GuardPolicy = AS_STATED) -> list[Violation]:
    """Return which bounds the scores leave beside those that the former champion gives to the same users.

    A former champion that leaves bounds by itself is no measure.
    """
    if (
        len(probability) < policy.least_rows
        or violations(former, None, policy)
        or violations(probability, None, policy)
    ):
        return []
    found = _mean(probability, float(former.mean()), "that of the former champion", policy)
    rank = _rank_correlation(probability, former)
    if rank < policy.least_rank:
        says = f"the users' order has little to do with the former champion's: correlation {rank:.2f}, at least {policy.least_rank:g} is asked for"
        found.append(Violation("rank", rank, policy.least_rank, says))
    return found


def _log_odds(probability: Float64s) -> Float64s:
    clipped = np.clip(probability, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(clipped / (1.0 - clipped)), np.float64)


def _rank_correlation(left: Float64s, right: Float64s) -> float:
    """Return Spearman's correlation; equal values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(left), _ranks(right))[0, 1])


def _ranks(values: Float64s) -> Float64s:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[inverse], np.float64)
