"""Whether an archive may be learnt from: checks on what was seen in it, each with a verdict and what to do.

A failed check means that a model of this data would be wrong, not merely worse; what may be innocent is a warning. The
limits are those within which a healthy business moves: weekends, holidays, campaigns, bots and quiet starts pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

import msgspec
import numpy as np
import numpy.typing as npt

from churn.days import iso
from churn.declaration import Declaration
from churn.errors import DataError
from training import checks, volumes
from training.checks import Check, Verdict, listed
from training.profile import Profile

USUAL_RATES = (0.005, 0.95)
SUDDEN, IMPOSSIBLE = 1.5, 4.0
"""Change of the log-odds of churn between neighbouring snapshots: 1.5 takes 10 % to 33 %, 4 takes it to 86 %."""


class ValidationReport(msgspec.Struct, frozen=True):
    """All checks of a data set."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Return whether no check failed."""
        return all(check.verdict is not Verdict.FAILED for check in self.checks)

    def text(self) -> str:
        """Return the report for people, the worst first."""
        order = (Verdict.FAILED, Verdict.WARNED, Verdict.PASSED)
        ordered = sorted(self.checks, key=lambda check: order.index(check.verdict))
        counts = ", ".join(f"{sum(c.verdict is v for c in ordered)} {v.value}" for v in reversed(order))
        return "\n".join([f"data set: {counts}", *(check.text() for check in ordered)])

    def json(self) -> bytes:
        """Return the report for programs."""
        return msgspec.json.encode({"passed": self.passed, "checks": self.checks})

    def require(self) -> "ValidationReport":
        """Return the report.

        Raises:
            DataError: a check failed; the message is the report.
        """
        if not self.passed:
            raise DataError(f"this data is not fit to learn from\n{self.text()}")
        return self


@dataclass(frozen=True)
class LabelRate:
    """Of so many users of a snapshot whose label is known, so many churned."""

    as_of_day: int
    users: int
    churned: int


def label_rates(as_of_days: npt.NDArray[np.int32], churned: npt.NDArray[np.bool_]) -> list[LabelRate]:
    """Return the rate of each snapshot from the midnight and label of every labelled row.

    >>> label_rates(np.array([7, 7, 9], np.int32), np.array([True, False, False]))
    [LabelRate(as_of_day=7, users=2, churned=1), LabelRate(as_of_day=9, users=1, churned=0)]
    """
    days, places = np.unique(as_of_days, return_inverse=True)
    users, gone = np.bincount(places, minlength=len(days)), np.bincount(places[churned], minlength=len(days))
    return [LabelRate(*row) for row in zip(days.tolist(), users.tolist(), gone.tolist(), strict=True)]


def validate(declaration: Declaration, profile: Profile, rates: Sequence[LabelRate] = ()) -> ValidationReport:
    """Check what was seen in an archive, and the labels of snapshots where they are at hand."""
    if missing := sorted(checks.REQUIRED.keys() - profile.columns.keys()):
        return ValidationReport((checks.columns_missing(missing),))
    found = [
        checks.schema(profile),
        checks.identity(profile),
        checks.repeated(profile),
        checks.event_types(declaration, profile),
        checks.unseen_types(declaration, profile),
        *checks.measures(profile),
        *checks.attributes(profile),
        *(_volumes(profile, active) if (active := profile.by_day(declaration.activity_events)) else ()),
        volumes.partitions(profile),
    ]
    return ValidationReport((*found, *([_labels(rates)] if rates else [])))


def _volumes(profile: Profile, active: Mapping[int, int]) -> Iterator[Check]:
    yield volumes.missing_days(active)
    yield volumes.volumes(active)
    yield volumes.stopped(profile.by_type_and_day, max(active))


def _labels(rates: Sequence[LabelRate]) -> Check:
    ordered = sorted((rate for rate in rates if rate.users), key=lambda rate: rate.as_of_day)
    shares = [(rate, rate.churned / rate.users) for rate in ordered]
    churned, users = sum(rate.churned for rate in ordered), sum(rate.users for rate in ordered)
    if not 0 < churned < users:
        advice = "both classes are needed: check the activity events and the horizon of the declaration"
        return Check("label rate", Verdict.FAILED, f"{churned:,} of {users:,} users churned", _span(ordered), advice)
    changes = [(later, abs(_change(rate, later))) for rate, later in pairwise(ordered)]
    sudden = [(rate, change) for rate, change in changes if change > SUDDEN]
    unusual = [f"{iso(rate.as_of_day)} {share:.1%}" for rate, share in shares if not _usual(share)]
    seen = f"{churned / users:.1%} of {users:,} churned, from {min(s for _, s in shares):.1%} to {max(s for _, s in shares):.1%}"
    if not sudden and not unusual:
        return Check("label rate", Verdict.PASSED, seen, _span(ordered))
    where = listed([*unusual, *(f"change at {iso(rate.as_of_day)}" for rate, _ in sudden)])
    verdict = Verdict.FAILED if any(change > IMPOSSIBLE for _, change in sudden) else Verdict.WARNED
    return Check("label rate", verdict, seen, where, "see whether events of the horizon behind these days are missing")


def _usual(share: float) -> bool:
    return USUAL_RATES[0] <= share <= USUAL_RATES[1]


def _change(before: LabelRate, after: LabelRate) -> float:
    """Return the change of the log-odds; half a user on each side keeps small snapshots from infinity."""
    return _log_odds(after) - _log_odds(before)


def _log_odds(rate: LabelRate) -> float:
    return log((rate.churned + 0.5) / (rate.users - rate.churned + 0.5))


def _span(rates: Sequence[LabelRate]) -> str:
    if not rates:
        return "no snapshot has a known label"
    return f"{len(rates)} snapshots, {iso(rates[0].as_of_day)} to {iso(rates[-1].as_of_day)}"
