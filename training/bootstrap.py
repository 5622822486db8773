"""Confidence intervals by drawing users again with replacement.

A user stands in several snapshots, and those rows are alike: drawing rows would make intervals too narrow. So whole users
are drawn, the same ones for every model and measure (a paired bootstrap). Measures are sums over rows, or follow from
their influences, so only sums by user are needed: 1,000 resamples of 300,000 rows are a matrix product.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from churn.evaluation import CALIBRATION_BINS, Mask, evaluate, losses
from churn.influence import auc_influence, average_precision_influence
from churn.layout import Float64s

RESAMPLES = 1000
SEED = 20260101
BLOCK_DRAWS = 2_000_000
"""Weights of so many (resample, user) pairs are held at once: 16 MB."""


@dataclass(frozen=True)
class Interval:
    """A measure and where it lies with the stated confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Users:
    """Which user each row belongs to: `codes` int [n] are 0 .. count - 1."""

    codes: npt.NDArray[np.intp]
    count: int

    @classmethod
    def of(cls, names: Iterable[str]) -> "Users":
        """Number the users of rows by their names.

        >>> Users.of(["a", "b", "a"]).codes.tolist()
        [0, 1, 0]
        """
        index: dict[str, int] = {}
        codes = np.array([index.setdefault(name, len(index)) for name in names], np.intp)
        return cls(codes, len(index))

    def sums(self, columns: Sequence[npt.NDArray[np.generic]]) -> Float64s:
        """Return float64 [users, columns]: each column's sum over a user's rows."""
        by_user = [np.bincount(self.codes, column.astype(np.float64), self.count) for column in columns]
        return np.stack(by_user, axis=1)


def resampled(sums: Float64s, resamples: int = RESAMPLES, seed: int = SEED) -> Float64s:
    """Return float64 [resamples, columns]: the columns' totals over as many users, drawn with replacement."""
    chance, users = np.random.default_rng(seed), len(sums)
    totals = np.empty((resamples, sums.shape[1]))
    step = max(1, BLOCK_DRAWS // users)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = np.stack([np.bincount(chance.integers(0, users, users), minlength=users) for _ in range(count)])
        totals[start : start + count] = drawn.astype(np.float64) @ sums
    return totals


def percentiles(value: float, resamples: Float64s, confidence: float) -> Interval:
    """Return the interval between the percentiles of the resamples."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(resamples, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))


def by_spread(value: float, resamples: Float64s, confidence: float) -> Interval:
    """Return a normal interval from the resamples' spread: for confidences that few resamples reach, as 99.5 %."""
    reach = NormalDist().inv_cdf((1.0 + confidence) / 2.0) * float(np.nanstd(resamples))
    return Interval(value, value - reach, value + reach)


def reflected(value: float, resamples: Float64s, confidence: float) -> Interval:
    """Return the percentiles reflected at the value: for a distance from 0, which noise only ever makes larger.

    The low end is at least 0, the high one at least the value.
    """
    raw = percentiles(value, resamples, confidence)
    return Interval(value, max(0.0, 2.0 * value - raw.high), max(value, 2.0 * value - raw.low))


@dataclass(frozen=True)
class Measured:
    """The measures of a card with their intervals."""

    auc: Interval
    average_precision: Interval
    log_loss: Interval
    brier: Interval
    ece: Interval


def bins_of(probability: Float64s, bins: int) -> npt.NDArray[np.intp]:
    """Return each row's bin of equal size by rising probability, as `churn.evaluation.calibration_table` makes them."""
    numbers = np.empty(len(probability), np.intp)
    sizes = [len(part) for part in np.array_split(np.empty(len(probability)), bins)]
    numbers[np.argsort(probability, kind="stable")] = np.repeat(np.arange(bins), sizes)
    return numbers


def gaps(churned: Mask, probability: Float64s, bins: int) -> list[Float64s]:
    """Return a column for each calibration bin: said minus happened of its rows, 0 elsewhere.

    The sum over bins of a column's |total|, divided by the rows, is the expected calibration error.
    """
    numbers, excess = bins_of(probability, bins), probability - churned
    return [np.where(numbers == number, excess, 0.0) for number in range(bins)]


def measure(
    churned: Mask,
    probability: Float64s,
    users: Users,
    confidence: float = 0.95,
    bins: int = CALIBRATION_BINS,
    resamples: int = RESAMPLES,
) -> tuple[Measured, Float64s]:
    """Return every measure with its interval, and the resampled gaps of the calibration bins, float64 [resamples, bins]."""
    seen = evaluate(churned, probability, 0.5)
    columns: list[npt.NDArray[np.generic]] = [
        np.ones(len(churned)), auc_influence(churned, probability), average_precision_influence(churned, probability),
        losses(churned, probability), (probability - churned) ** 2, *gaps(churned, probability, bins),
    ]  # fmt: skip
    totals = resampled(users.sums(columns), resamples)
    rows, missed = totals[:, 0], totals[:, 5:]
    ece = np.abs(missed).sum(axis=1) / rows
    measured = Measured(
        percentiles(seen.auc, seen.auc + totals[:, 1], confidence),
        percentiles(seen.average_precision, seen.average_precision + totals[:, 2], confidence),
        percentiles(seen.log_loss, totals[:, 3] / rows, confidence),
        percentiles(seen.brier, totals[:, 4] / rows, confidence),
        reflected(seen.ece, ece, confidence),
    )
    return measured, missed / rows[:, None]
