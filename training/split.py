"""Splitting snapshots by time, so that no label of the past overlaps a feature of the future."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from churn.errors import DataError


@dataclass(frozen=True)
class Split:
    """Midnights (UTC day numbers) to learn from and later ones to judge by."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def weekly(first_day: int, last_day: int, horizon_days: int) -> tuple[int, ...]:
    """Return midnights a week apart with a whole horizon of history before and of future after, counted from the end.

    >>> weekly(0, 75, 30)
    (31, 38, 45)
    """
    latest = last_day - horizon_days
    return tuple(sorted(range(latest, first_day + horizon_days - 1, -7)))


def by_time(as_of_days: Sequence[int], test_fraction: float, gap_days: int) -> Split:
    """Return the last `test_fraction` of the snapshots as test; every training label ends before the first of them.

    Raises:
        DataError: nothing is left to learn from; says how many days are missing.

    >>> by_time([0, 10, 20, 30, 40], 0.2, 30)
    Split(train=(0, 10), test=(40,))
    """
    days = sorted(as_of_days)
    if not days:
        raise DataError(f"the archive is too short: a snapshot needs {gap_days} days before it and {gap_days} after it")
    count = max(1, round(len(days) * test_fraction))
    test = tuple(days[-count:])
    train = tuple(day for day in days if day + gap_days <= test[0])
    if not train:
        span = days[-1] - days[0]
        raise DataError(
            f"snapshots span {span} days; a time-ordered test with a gap of {gap_days} days needs at least {gap_days}: "
            f"archive {gap_days - span if span < gap_days else 7} more days or choose a smaller test fraction"
        )
    return Split(train, test)


def folds(as_of_days: Sequence[int], gap_days: int) -> Iterator[Split]:
    """Yield time-ordered splits inside the training snapshots for choosing settings; none when they are too few."""
    for fraction in (0.4, 0.2):
        try:
            split = by_time(as_of_days, fraction, gap_days)
        except DataError:
            continue
        yield split
