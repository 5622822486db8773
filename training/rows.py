"""Labelled rows that models learn from, and folds of them that settings are chosen on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from churn.evaluation import Mask
from churn.layout import Float64s, Floats
from training.split import folds as time_folds

FOLD_ROWS = 25_000
"""Settings are chosen on at most so many rows a side: a choice on 40,000 differs by 0.0001 in log loss."""
SEED = 0
Hashes = npt.NDArray[np.uint64]
UNKNOWN: Hashes = np.zeros(0, np.uint64)


def hashes_of(users: Sequence[str]) -> Hashes:
    """Return a hash of each user."""
    return np.array(
        [int.from_bytes(blake2b(user.encode(), digest_size=8).digest(), "little") for user in users], np.uint64
    )


@dataclass(frozen=True)
class Rows:
    """Vectors and labels: float32 [n, features], bool [n], the snapshot (UTC day number) and a hash of the user of each.

    `users` is empty where they are not known.
    """

    matrix: Floats
    churned: Mask
    days: npt.NDArray[np.int32]
    users: Hashes = field(default_factory=lambda: UNKNOWN)

    def __len__(self) -> int:
        return len(self.churned)

    def take(self, rows: Mask | slice | npt.NDArray[np.intp]) -> "Rows":
        """Return some of the rows."""
        users = self.users[rows] if len(self.users) else self.users
        return Rows(self.matrix[rows], self.churned[rows], self.days[rows], users)

    def of(self, days: Sequence[int]) -> "Rows":
        """Return the rows of these snapshots."""
        return self.take(np.isin(self.days, np.array(days, np.int32)))

    def thinned(self, most: int) -> "Rows":
        """Return at most so many rows, drawn by a fixed seed, in their order."""
        if len(self) <= most:
            return self
        # Every n-th row would take the same users at each midnight wherever n divides their number.
        return self.take(np.sort(np.random.default_rng(SEED).choice(len(self), most, replace=False)))

    @property
    def has_both_classes(self) -> bool:
        """Tell whether there is something to learn."""
        return bool(self.churned.any()) and not bool(self.churned.all())


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to judge by, of later days or of other users.

    `share` is how many of all rows are learnt from.
    """

    early: Rows
    late: Rows
    kind: str
    share: float = 1.0


def folds_of(rows: Rows, horizon_days: int, most: int = FOLD_ROWS, cohorts: bool = False) -> list[Fold]:
    """Return the folds that settings are chosen on; none when there is no room for any.

    Two time-ordered ones ask for what still holds later; where users are known, their two halves ask for what holds for
    others at the same times. A model is used on both, and one kind alone misleads: snapshots of one cohort that ages
    together (a course) make every later day a foreign country, and the time-ordered folds stop boosting after 20 trees
    where a next cohort wants 400. With `cohorts` users begin and end together, and those to come are other users at
    the same ages: then only the halves are asked.
    """
    found = [*(() if cohorts else _by_time(rows, horizon_days)), *_by_user(rows)]
    thin = [_thinned(each, most, len(rows)) for each in found]
    return [each for each in thin if each.early.has_both_classes and each.late.has_both_classes]


def _thinned(fold: Fold, most: int, whole: int) -> Fold:
    early = fold.early.thinned(most)
    return Fold(early, fold.late.thinned(most), fold.kind, len(early) / max(1, whole))


def _by_time(rows: Rows, horizon_days: int) -> Iterator[Fold]:
    for split in time_folds(sorted(set(rows.days.tolist())), horizon_days):
        yield Fold(rows.of(split.train), rows.of(split.test), "later days")


def _by_user(rows: Rows) -> Iterator[Fold]:
    if len(rows.users):
        half = rows.users & np.uint64(1) == 1
        yield Fold(rows.take(half), rows.take(~half), "other users")
        yield Fold(rows.take(~half), rows.take(half), "other users")


def expit(log_odds: Float64s) -> Float64s:
    """Return probabilities.

    >>> expit(np.array([0.0])).tolist()
    [0.5]
    """
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), np.float64)
