"""Data that are broken rather than new: each archived day against the weeks before it.

What the day looked like is in `day_figures`, what is suspicious about it in `suspicions`. An alarm is raised on the day
on which a suspicion begins, and again only after a week without it.
"""

import msgspec

from training.loop.day_figures import DayFigures, FieldFigures, figures_of
from training.loop.finding import Finding
from training.loop.suspicions import AS_MEASURED, WEEK_DAYS, QualityPolicy, suspicions_of

__all__ = ["DayFigures", "FieldFigures", "Quality", "QualityPolicy", "QualityState", "figures_of"]


class QualityState(msgspec.Struct, frozen=True):
    """The last weeks, the oldest first, and the latest day on which each alarm was true."""

    days: tuple[DayFigures, ...] = ()
    alarmed: dict[str, int] = {}


NEW = QualityState()


class Quality:
    """Watches the archived days."""

    def __init__(self, policy: QualityPolicy = AS_MEASURED, state: QualityState = NEW) -> None:
        self._policy, self._state = policy, state

    @property
    def known_days(self) -> int:
        """Return how many days before a day can say anything of it."""
        return self._policy.weeks * WEEK_DAYS

    def day(self, figures: DayFigures, history: bool = False) -> list[Finding]:
        """Return what begins to be out of bounds on this day; what stays so is not told again.

        A day that was taken already, or is older, is passed over. Of a day of `history` nothing is told, nor of what is
        still so on the next day that is taken: it began in history.
        """
        known = self._state.days
        if known and figures.day <= known[-1].day:
            return []
        suspicions = list(suspicions_of(self._policy, known, figures))
        keys = {each.key for each in suspicions}
        if history:
            # Not for a calm week as what was told is: what ends with history and begins anew is news.
            self._remember(figures, dict.fromkeys(keys, figures.day - self._policy.calm_days + 1))
            return []
        begun = [each for each in suspicions if each.key not in self._state.alarmed]
        self._remember(figures, self._state.alarmed | dict.fromkeys(keys, figures.day))
        # Medians are numpy's numbers, which no JSON of the keeper can hold.
        return [
            Finding(each.kind, figures.day, each.what, float(each.seen), float(each.bound), each.says) for each in begun
        ]

    def _remember(self, figures: DayFigures, alarmed: dict[str, int]) -> None:
        oldest = figures.day - self.known_days
        days = tuple(each for each in (*self._state.days, figures) if each.day > oldest)
        still = {key: day for key, day in alarmed.items() if figures.day - day < self._policy.calm_days}
        self._state = QualityState(days, still)

    def state(self) -> QualityState:
        """Return everything that it knows."""
        return self._state
