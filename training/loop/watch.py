"""The monitors at work: each complete midnight, each archived day and each day of matured labels, looked at once.

What is found is told as findings; what follows from them is decided elsewhere.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from churn.declaration import Declaration
from churn.errors import DataError
from churn.layout import DAY_US, Float64s
from churn.model import Scorer
from feature_repo.archive import files, segments
from training.loop.drift import DayDrift, DriftState, InputDrift
from training.loop.finding import Finding
from training.loop.guard import violations
from training.loop.midnights import Midnight
from training.loop.quality import Quality, QualityState, figures_of
from training.loop.reference import decode

log = structlog.get_logger(__name__)
WAITING_DAYS = 100
"""Days that wait for the archive; older ones are passed over: it is not running, or was moved."""
DAYS_AT_ONCE = 3
"""Figures of a day of a million events take a second; what else the keeper does has its turn in between."""
CALM_DAYS = 7
ReadReference = Callable[[str], str | None]
"""Returns what a version's training kept of its rows; None when it kept nothing."""


class WatchState(msgspec.Struct):
    """What the monitors know.

    Attributes:
        due: days whose events must be archived up to these offsets, by partition, before they are looked at.
        bounds: bounds of the score distribution that were left, and the last day on which they were.
    """

    drift: DriftState | None = None
    quality: QualityState = msgspec.field(default_factory=QualityState)
    due: dict[int, dict[int, int]] = {}
    bounds: dict[str, int] = {}


class Watch:
    """Looks at what is new."""

    def __init__(
        self, declaration: Declaration, archive_dir: Path, read_reference: ReadReference, state: WatchState
    ) -> None:
        self._declaration, self._archive_dir, self._read = declaration, archive_dir, read_reference
        self.drift = InputDrift(state=state.drift)
        self._quality = Quality(state=state.quality)
        self._due, self._bounds = state.due, state.bounds
        self.problem = ""
        """Why the archive cannot be read; empty when it can."""

    def state(self) -> WatchState:
        """Return everything that the monitors know."""
        return WatchState(self.drift.state(), self._quality.state(), self._due, self._bounds)

    def midnight(self, midnight: Midnight, scorer: Scorer) -> tuple[DayDrift, list[Finding]]:
        """Look at the population of a midnight with the eyes of the champion."""
        self._meet(scorer.version)
        said = scorer.score(midnight.matrix).probability
        seen = self.drift.day(midnight.day, midnight.matrix, said)
        return seen, [*seen.findings, *self._outside(midnight.day, said, expected_rate(scorer))]

    def moved(self, midnight: Midnight, scorer: Scorer) -> dict[str, float]:
        """Return how far this population is from the champion's training rows (the score: ""); it is not remembered."""
        self._meet(scorer.version)
        return self.drift.moved(midnight.matrix, scorer.score(midnight.matrix).probability)

    def _meet(self, version: str) -> None:
        text = self._read(version) if self.drift.version != version else None
        try:
            if text:
                self.drift.meets(version, decode(text, f"version {version}"))
        except DataError as error:
            log.warning("a version's training rows are not compared with", version=version, reason=str(error))

    def _outside(self, day: int, said: Float64s, rate: float | None) -> list[Finding]:
        """Return the bounds of the guard that are left since this day; told again only after a week within them."""
        left = violations(said, rate)
        begun = [each for each in left if day - self._bounds.get(each.name, -CALM_DAYS) >= CALM_DAYS]
        self._bounds.update({each.name: day for each in left})
        return [Finding("score", day, each.name, each.seen, each.bound, each.says) for each in begun]

    def expect(self, midnight: Midnight) -> None:
        """The day before this midnight is over: look at its events as soon as they are archived."""
        self._due[midnight.day - 1] = midnight.offsets
        for day in sorted(self._due)[:-WAITING_DAYS]:
            del self._due[day]

    @property
    def waiting(self) -> int:
        """Return how many days wait to be looked at."""
        return len(self._due)

    def archived(self, first_us: int) -> list[Finding]:
        """Look at the days that have been archived meanwhile, a few at a time.

        Days before `first_us`, when a first champion began to serve, are what later ones are compared with; nothing is told of
        them. The day on which it began is passed over: half of it may be of a history that ended anywhere.
        """
        first_day = first_us // DAY_US
        oldest, begun = first_day - self._quality.known_days, first_us > first_day * DAY_US
        for day in [day for day in self._due if day < oldest or (begun and day == first_day)]:
            del self._due[day]
        if not self._due:
            return []
        try:
            return self._look(first_day)
        except (DataError, OSError) as error:
            self.problem = f"the archive cannot be read: {error}"
            return []

    def _look(self, first_day: int) -> list[Finding]:
        ends: dict[int, int] = {}
        for segment in segments(self._archive_dir):
            ends[segment.partition] = max(ends.get(segment.partition, 0), segment.end)
        covered = [
            day
            for day, offsets in sorted(self._due.items())
            if all(ends.get(partition, 0) >= offset for partition, offset in offsets.items())
        ]
        self.problem = ""
        if not covered:
            return []
        paths, found = files(self._archive_dir), []
        for day in covered[:DAYS_AT_ONCE]:
            found += self._quality.day(figures_of(self._declaration, paths, day), history=day < first_day)
            del self._due[day]
        return found


def expected_rate(scorer: Scorer) -> float | None:
    """Return the share of churners in a model's training rows, where it says so."""
    rate = scorer.model.trained.get("positive_rate")
    return float(rate) if rate is not None else None
