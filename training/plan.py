"""What a training learns from, what it is judged by, and what competes: the same words for a person's and the keeper's."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np

from churn.errors import InputError
from churn.evaluation import Mask

Holdout = Literal["later", "users"]
HOLDOUTS: tuple[Holdout, ...] = ("later", "users")
CANDIDATES = ("logistic", "boosted", "online")
RESERVED_SHARE = 0.25
"""Of all users, for ever: of 5,000 they give 750 rows a snapshot to judge by."""
JUDGED_WEEKS = 8
"""Newest weekly snapshots of the reserved users that a model is judged on."""
KEY = b"reserved-users"


@dataclass(frozen=True)
class Plan:
    """How one training goes about it.

    Attributes:
        holdout: `later`: the last `test_fraction` of the snapshots is judged on, and what is learnt ends a horizon before.
            `users`: reserved users, from whom no version of such a plan ever learns, are judged on in the newest
            snapshots whose labels are known; all others are learnt from up to those same snapshots.
        weeks: how many of the newest weekly snapshots are used; 0: all.
        candidates: which models compete; the first one that is named wins where nothing tells them apart.
        searched: whether settings are chosen on folds, or are the usual ones.
        cohorts: users begin and end together, as in a course; settings are chosen on other users, not on later days.
    """

    holdout: Holdout = "later"
    weeks: int = 0
    candidates: tuple[str, ...] = CANDIDATES
    searched: bool = True
    cohorts: bool = False
    test_fraction: float = 0.25

    def __post_init__(self) -> None:
        unknown = [name for name in self.candidates if name not in CANDIDATES]
        if unknown or not self.candidates:
            raise InputError(
                f"no candidate is called {', '.join(unknown) or '(none)'}; choose of {', '.join(CANDIDATES)}"
            )

    @property
    def reserved_share(self) -> float:
        """Return the share of users from whom nothing is learnt."""
        return RESERVED_SHARE if self.holdout == "users" else 0.0

    @property
    def words(self) -> list[str]:
        """Return the options of `churn train` that say the same.

        >>> Plan("users", 26, ("logistic",), searched=False).words
        ['--holdout', 'users', '--weeks', '26', '--candidates', 'logistic', '--no-search']
        """
        told = ["--holdout", self.holdout, "--weeks", str(self.weeks), "--candidates", ",".join(self.candidates)]
        return [*told, *([] if self.searched else ["--no-search"]), *(["--cohorts"] if self.cohorts else [])]


MANUAL = Plan()
"""What `churn train` does unless it is told otherwise."""


def retraining(candidates: str) -> Plan:
    """Return what the keeper runs: named candidates compete by a search; one alone takes a tenth of the time without.

    26 weeks: of 4 to all, distances to the oracle over a year with four drifts were 624, 602, 592, 588, 586 and 583 (in
    0.0001; never retrained 630) for 4, 8, 12, 17, 26 and all weeks; a half-life of 60 days changes nothing, of 30 costs 6.

    >>> retraining("logistic").words
    ['--holdout', 'users', '--weeks', '26', '--candidates', 'logistic', '--no-search']
    """
    names = tuple(name.strip() for name in candidates.split(","))
    return Plan("users", weeks=26, candidates=names, searched=len(names) > 1)


def reserved(users: Sequence[str]) -> Mask:
    """Return who is reserved for judging: the same users in every training, whatever else is split by a hash of them."""
    least = int(RESERVED_SHARE * (1 << 64))
    return np.array([_hash(user) < least for user in users], np.bool_)


def _hash(user: str) -> int:
    return int.from_bytes(blake2b(user.encode(), digest_size=8, key=KEY).digest(), "little")
