"""Splitting snapshots by time, so that no label of the past overlaps a feature of the future."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from churn.days import iso
from churn.declaration import Aggregate, Declaration
from churn.errors import DataError

TREND_DAYS = 30


@dataclass(frozen=True)
class Split:
    """Midnights (UTC day numbers) to learn from and later ones to judge by."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def history_days(declaration: Declaration) -> int:
    """Return how many days before a snapshot its population and its windows look back on.

    Lifetime facts (totals, days since the first of something) and the nine weeks of a rhythm begin with the archive
    whatever the snapshot, as they begin with the stream's first event.
    """
    trends = {Aggregate.TREND, Aggregate.TREND_DAYS, Aggregate.TREND_MEAN}
    looks_back = [TREND_DAYS if each.aggregate in trends else each.window_days for each in declaration.features]
    return max(declaration.label.horizon_days, *looks_back)


@dataclass(frozen=True)
class Bounds:
    """Which midnights an archive allows: all of what a snapshot looks back on and ahead to lies within it."""

    first_day: int
    last_day: int
    horizon_days: int
    history_days: int

    @property
    def earliest(self) -> int:
        """Return the first midnight whose population and windows are whole."""
        return self.first_day + self.history_days

    @property
    def latest(self) -> int:
        """Return the last midnight whose labels are known."""
        return self.last_day - self.horizon_days

    def weekly(self) -> tuple[int, ...]:
        """Return midnights a week apart, counted from the end.

        >>> Bounds(0, 75, 30, 30).weekly()
        (31, 38, 45)
        """
        return tuple(sorted(range(self.latest, self.earliest - 1, -7)))

    def checked(self, as_of_days: Sequence[int]) -> tuple[int, ...]:
        """Return these midnights in order, each once.

        Raises:
            DataError: one of them looks back before the archive, or ahead after it; says which days would do.
        """
        days = tuple(sorted(set(as_of_days)))
        late, early = [day for day in days if day > self.latest], [day for day in days if day < self.earliest]
        if late:
            raise DataError(
                f"the label of {iso(late[0])} is not known yet: the archive ends on {iso(self.last_day)}, use"
                f" {iso(self.latest)} at the latest"
            )
        if early:
            raise DataError(
                f"{iso(early[0])} looks back {self.history_days} days, and the archive begins on {iso(self.first_day)}:"
                f" who was active before looks new or gone; use {iso(self.earliest)} at the earliest"
            )
        return days


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


def newest(as_of_days: Sequence[int], judged: int) -> Split:
    """Return all snapshots as train, the last `judged` of them as test too: for a test of other users at the same times.

    Raises:
        DataError: there is none.

    >>> newest([0, 7, 14], 2)
    Split(train=(0, 7, 14), test=(7, 14))
    """
    days = tuple(sorted(as_of_days))
    if not days:
        raise DataError(
            "the archive is too short: no midnight has whole windows before it and a whole horizon after it"
        )
    return Split(days, days[-judged:])


def folds(as_of_days: Sequence[int], gap_days: int) -> Iterator[Split]:
    """Yield time-ordered splits inside the training snapshots for choosing settings; none when they are too few."""
    for fraction in (0.4, 0.2):
        try:
            split = by_time(as_of_days, fraction, gap_days)
        except DataError:
            continue
        yield split
