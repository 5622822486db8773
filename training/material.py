"""What a training works on: labelled rows of snapshots on both sides of a time-ordered split."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from churn.days import day_number, iso
from churn.declaration import Declaration
from churn.errors import DataError
from churn.evaluation import Mask
from training.dataset import DataSet, Sampling
from training.examined import Examined, examined
from training.plan import JUDGED_WEEKS, Plan, reserved
from training.rows import Rows, hashes_of
from training.split import Bounds, Split, by_time, history_days, newest

MAX_TRAIN_ROWS = 300_000
"""Beyond it a fixed sample by hash of user and snapshot is taken: 300,000 rows pin 60 weights to the third digit."""
MAX_TEST_ROWS = 300_000


@dataclass(frozen=True)
class Gathered:
    """Labelled population rows of some snapshots."""

    rows: Rows
    users: list[str]
    silent_days: npt.NDArray[np.int32]
    share: float


@dataclass(frozen=True)
class Material:
    """What a training works on: both sides of the split, and where they come from (UTC day numbers).

    `reserved_share` of all users are on the test side alone; with 0 the sides differ by time.
    """

    split: Split
    train: Gathered
    test: Gathered
    events: int
    users: int
    first_day: int
    last_day: int
    reserved_share: float = 0.0


def material_of(data: DataSet, plan: Plan, days: Sequence[int], horizon_days: int) -> Material:
    """Return the labelled rows of both sides of the plan's split of these snapshots.

    Raises:
        DataError: the snapshots are too few, or as `gather`.
    """
    days, counts = sorted(days)[-plan.weeks :], data.counts
    if plan.holdout == "users":
        split = newest(days, JUDGED_WEEKS)
        train_part, test_part = _by_users(gather(data, split.train, horizon_days, MAX_TRAIN_ROWS), split)
    else:
        split = by_time(days, plan.test_fraction, horizon_days)
        train_part = gather(data, split.train, horizon_days, MAX_TRAIN_ROWS)
        test_part = gather(data, split.test, horizon_days, MAX_TEST_ROWS)
    ends = (counts.first_day, counts.last_day)
    return Material(split, train_part, test_part, counts.events, len(counts.users), *ends, plan.reserved_share)


def _by_users(found: Gathered, split: Split) -> tuple[Gathered, Gathered]:
    kept = reserved(found.users)
    return _taken(found, ~kept), _taken(found, kept & np.isin(found.rows.days, np.array(split.test, np.int32)))


def _taken(found: Gathered, rows: Mask) -> Gathered:
    users = [found.users[row] for row in np.flatnonzero(rows).tolist()]
    some = found.rows.take(rows)
    _require_both_classes(some.churned, some.days.tolist())
    return Gathered(some, users, found.silent_days[rows], found.share)


def _require_both_classes(churned: Mask, days: Sequence[int]) -> None:
    if churned.all() or not churned.any():
        span = f"{iso(min(days))} to {iso(max(days))}" if days else "asked for"
        raise DataError(
            f"{int(churned.sum())} of {len(churned)} labelled users churned in the snapshots {span}; both classes are needed"
        )


def examined_material(
    declaration: Declaration,
    archived: Sequence[Path],
    material: Material,
    user_ttl_days: int,
    cache_dir: Path | None = None,
) -> Examined:
    """Check the archive with the labels of the material, and name the data; raises DataError when a check fails."""
    train_part, test = material.train, material.test
    days = np.concatenate([train_part.rows.days, test.rows.days])
    churned = np.concatenate([train_part.rows.churned, test.rows.churned])
    return examined(
        declaration,
        archived,
        days,
        churned,
        share=train_part.share,
        user_ttl_days=user_ttl_days,
        cache_dir=cache_dir,
    )


def snapshots_of(data: DataSet, declaration: Declaration, as_ofs: Sequence[date] | None) -> tuple[int, ...]:
    """Return the midnights to learn from and judge by, weekly unless they are named.

    Raises:
        DataError: a named one lies too near an end of the archive.
    """
    counts, horizon = data.counts, declaration.label.horizon_days
    bounds = Bounds(counts.first_day, counts.last_day, horizon, history_days(declaration))
    return bounds.weekly() if as_ofs is None else bounds.checked([day_number(day) for day in as_ofs])


def gather(data: DataSet, days: Sequence[int], horizon_days: int, limit: int) -> Gathered:
    """Return the labelled population of these snapshots in the order of (snapshot, user), at most about `limit` rows.

    Raises:
        DataError: nobody is in it, or everybody has the same label.
    """
    share = min(1.0, limit / max(1, data.counts.active_pairs(days, horizon_days)))
    parts = [part for part in data.parts(days, Sampling(True, True, share)) if len(part)]
    churned = np.concatenate([part.churned for part in parts]) if parts else np.zeros(0, np.bool_)
    _require_both_classes(churned, days)
    parts.sort(key=lambda part: (part.as_of_day, part.users[0]))
    matrix = np.concatenate([part.matrix for part in parts])
    at = np.concatenate([np.full(len(part), part.as_of_day, np.int32) for part in parts])
    users = [user for part in parts for user in part.users]
    rows = Rows(matrix, np.concatenate([part.churned for part in parts]), at, hashes_of(users))
    silent = np.concatenate([part.silent_days for part in parts])
    return Gathered(rows, users, silent, share)
