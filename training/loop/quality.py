"""Data that are broken rather than new: each archived day against the weeks before it.

What the day looked like is in `day_figures`. Volumes are held against the same weekday of the last weeks, shares and
means against all days of the last weeks. What a change says is told apart where it can be: fields that are empty,
event types that fall silent, a volume that halves or doubles, machines, refused events are `quality`; a level that
moved while the data are whole (other prices, shorter lessons, more declined charges) is `behaviour`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from training.loop.day_figures import DayFigures, FieldFigures, figures_of
from training.loop.finding import Finding, Kind

__all__ = ["DayFigures", "FieldFigures", "Quality", "QualityPolicy", "QualityState", "figures_of"]

Array = npt.NDArray[np.float64]
ROBUST = 1.4826
"""The standard deviation of a normal law in units of its median absolute deviation."""
WEEK = 7


class QualityPolicy(msgspec.Struct, frozen=True):
    """When a day is not like the weeks before."""

    weeks: int = 8
    least_weeks: int = 3
    bound: float = 6.0
    """Deviations."""
    wander: float = 0.1
    """How far a volume moves within a month by season and growth, as a share of itself."""
    least_shift: float = 0.1
    """Of a mean, or of a share in points: what is smaller concerns nobody."""
    calm_days: int = 7


class QualityState(msgspec.Struct, frozen=True):
    """The last weeks, the oldest first, and the day on which each alarm was last true."""

    days: tuple[DayFigures, ...] = ()
    alarmed: dict[str, int] = {}


@dataclass(frozen=True)
class Suspicion:
    """Something about a day that is out of bounds; `key` names it from day to day."""

    key: str
    kind: Kind
    what: str
    seen: float
    bound: float
    says: str


AS_MEASURED, NEW = QualityPolicy(), QualityState()


class Quality:
    """Watches the archived days."""

    def __init__(self, policy: QualityPolicy = AS_MEASURED, state: QualityState = NEW) -> None:
        self._policy, self._state = policy, state

    def day(self, figures: DayFigures) -> list[Finding]:
        """Return what begins to be out of bounds on this day; what stays so is not told again.

        A day that was taken already, or is older, is passed over.
        """
        known = self._state.days
        if known and figures.day <= known[-1].day:
            return []
        suspicions = list(suspicions_of(self._policy, known, figures))
        begun = [each for each in suspicions if each.key not in self._state.alarmed]
        self._remember(figures, {each.key for each in suspicions})
        return [Finding(each.kind, figures.day, each.what, each.seen, each.bound, each.says) for each in begun]

    def _remember(self, figures: DayFigures, out_of_bounds: set[str]) -> None:
        oldest = figures.day - self._policy.weeks * WEEK
        days = tuple(each for each in (*self._state.days, figures) if each.day > oldest)
        alarmed = self._state.alarmed | dict.fromkeys(out_of_bounds, figures.day)
        still = {key: day for key, day in alarmed.items() if figures.day - day < self._policy.calm_days}
        self._state = QualityState(days, still)

    def state(self) -> QualityState:
        """Return everything that it knows."""
        return self._state


def suspicions_of(policy: QualityPolicy, before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    """Yield everything about a day that is out of bounds, given the weeks before it."""
    if len(before) < policy.least_weeks * WEEK:
        return
    yield from _volumes(before, today)


def _volumes(before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    totals = [("events", [each.events for each in before], today.events)]
    for what, history, seen in totals:
        usual = float(np.median(history))
        if usual >= 20 and seen < usual / 2:
            yield Suspicion(
                f"volume {what}", "quality", "", seen, usual / 2, f"{seen} {what} where {usual:.0f} are usual"
            )
