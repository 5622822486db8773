"""Models compared on matured labels: each on the same rows as the other, none on rows that it could have learnt from.

Which rows count. A row is a user at a midnight, and its label is known a horizon later. A version knows labels up to the
last midnight that it was trained on (`train_until`); two versions are compared on midnights after the later of the two,
and on labels that became known after both were promoted or trained. So a champion of a week is compared with the one
before it on the labels that matured in that week: they are of midnights before its promotion, and it foretells them from
the vectors of those midnights, as shadow scores would have. Who was replaced by a better version needs no rollback: only
the version that serves now is compared with the one before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from churn.blocks import OutcomeBlock
from churn.evaluation import Mask, losses
from churn.layout import DAY_US, Float64s
from training.bootstrap import Interval, Measured, Users, by_spread, measure, resampled
from training.loop.midnights import hash_of

KEPT_ROWS = 200_000
"""Of 30 days; with 90 bytes a row 20 MB. Beyond it half of the users are let go of, by hash."""
KEPT_DAYS = 31
HASH_SPAN = 1 << 64
MEASURED_RESAMPLES = 200
"""Enough for an interval that is shown; a decision draws more."""


@dataclass(frozen=True)
class Part:
    """Rows of one block: users of one midnight, known at one day; probabilities by version."""

    as_of_day: int
    known_day: int
    users: list[str]
    churned: Mask
    probability: dict[str, Float64s]


@dataclass(frozen=True)
class Rows:
    """The same rows for every version in `probability`."""

    users: list[str]
    churned: Mask
    probability: dict[str, Float64s]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def telling(self) -> bool:
        """Tell whether both classes are there."""
        return bool(len(self) and self.churned.any() and not self.churned.all())


@dataclass
class Contest:
    """Rows of the last 31 days of matured labels; a bounded number of users, by hash.

    Fed again with the same blocks in any order of partitions, it holds the same rows.
    """

    most: int = KEPT_ROWS
    limit: int = HASH_SPAN

    def __post_init__(self) -> None:
        self._parts: list[Part] = []
        self._taken: dict[int, int] = {}
        self.last_day = -1

    def take(self, block: OutcomeBlock) -> bool:
        """Take a block, once; returns whether it was new."""
        if block.label_offset <= self._taken.get(block.partition, -1):
            return False
        self._taken[block.partition] = block.label_offset
        known_day = block.known_at_us // DAY_US
        self.last_day = max(self.last_day, known_day)
        self._add(block, known_day)
        return True

    def _add(self, block: OutcomeBlock, known_day: int) -> None:
        # Who says of anybody what is no number is not judged on this block; one NaN would make every mean of a month NaN.
        both = zip(block.versions, block.probability, strict=True)
        said = {version: probability for version, probability in both if np.isfinite(probability).all()}
        part = Part(block.as_of_us // DAY_US, known_day, block.users, block.churned, said)
        self._parts.append(_within(part, self.limit))
        self._parts = [each for each in self._parts if each.known_day > self.last_day - KEPT_DAYS]
        while len(self) > self.most:
            self.limit //= 2
            self._parts = [_within(each, self.limit) for each in self._parts]

    def __len__(self) -> int:
        return sum(len(part.users) for part in self._parts)

    @property
    def known_days(self) -> set[int]:
        """Return the days on which the kept rows became known."""
        return {part.known_day for part in self._parts}

    @property
    def versions(self) -> list[str]:
        """Return who has said something of any row."""
        return sorted({version for part in self._parts for version in part.probability})

    def rows(
        self, versions: Sequence[str], after_as_of: int, after_known: int = -1, only_known: int | None = None
    ) -> Rows:
        """Return the rows of which all these versions have said something, of midnights after a day, known after a day."""
        parts = [
            part
            for part in self._parts
            if part.as_of_day > after_as_of and part.known_day > after_known
            and (only_known is None or part.known_day == only_known)
            and all(version in part.probability for version in versions)
        ]  # fmt: skip
        users = [user for part in parts for user in part.users]
        churned = np.concatenate([part.churned for part in parts]) if parts else np.zeros(0, np.bool_)
        said = {v: np.concatenate([p.probability[v] for p in parts]) if parts else np.zeros(0) for v in versions}
        return Rows(users, churned, said)


def _within(part: Part, limit: int) -> Part:
    if limit >= HASH_SPAN:
        return part
    places = [place for place, user in enumerate(part.users) if hash_of(user) < limit]
    said = {version: probability[places] for version, probability in part.probability.items()}
    return Part(part.as_of_day, part.known_day, [part.users[place] for place in places], part.churned[places], said)


def measured(rows: Rows, version: str) -> Measured:
    """Return log loss, AUC, calibration error and others of a version with intervals; needs both classes."""
    found, _ = measure(rows.churned, rows.probability[version], Users.of(rows.users), resamples=MEASURED_RESAMPLES)
    return found


def difference(rows: Rows, version: str, other: str, confidence: float) -> Interval:
    """Return the log loss of a version less that of another on the same rows; above 0 the version is worse."""
    churned = rows.churned
    lost = losses(churned, rows.probability[version]) - losses(churned, rows.probability[other])
    totals = resampled(Users.of(rows.users).sums([lost, np.ones(len(lost))]))
    return by_spread(float(lost.mean()), totals[:, 0] / totals[:, 1], confidence)


def by_arm(rows: Rows, arm_of: Sequence[str]) -> Iterator[tuple[str, Rows]]:
    """Yield for each version the rows of the users whom it serves; `arm_of` names the version of each row's user."""
    served = np.array(arm_of)
    for version in sorted(set(arm_of) & rows.probability.keys()):
        places = np.flatnonzero(served == version)
        said = {version: rows.probability[version][places]}
        yield version, Rows([rows.users[place] for place in places.tolist()], rows.churned[places], said)
