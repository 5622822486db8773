"""Drift of what the champion sees and says: each day's population against its training rows, and against last weeks."""

from collections.abc import Sequence

import msgspec

from churn.layout import Float64s, Floats
from training.loop.finding import Finding
from training.loop.reference import Reference

SCORE = ""
"""Names the score where features have their names."""


class DriftPolicy(msgspec.Struct, frozen=True):
    """When a distribution has moved."""

    least_rows: int = 200
    """Below it nothing is judged."""
    level: float = 0.2
    jump: float = 0.1
    """How far the PSI must be above its median of the last `usual_days`."""
    usual_days: int = 28
    least_days: int = 7
    persist_days: int = 2
    calm_days: int = 7


AS_MEASURED = DriftPolicy()


class DayDrift(msgspec.Struct, frozen=True):
    """One midnight against the champion's training rows.

    Attributes:
        psi, score: less what chance alone gives; empty and 0 when the day was not judged.
        says: why the day was not judged; empty when it was.
    """

    day: int
    rows: int
    psi: dict[str, float]
    score: float
    findings: list[Finding]
    says: str = ""


class Watched(msgspec.Struct):
    """One feature or the score: its last PSIs, the oldest first, and where its alarm stands."""

    psis: list[float] = []
    above_days: int = 0
    calm_days: int = 0
    alarmed: bool = False


class DriftState(msgspec.Struct):
    """Everything that the monitor knows; plain JSON."""

    version: str = ""
    reference: Reference | None = None
    last_day: int = -1
    watched: dict[str, Watched] = {}


class InputDrift:
    """Watches the population of each midnight."""

    def __init__(self, policy: DriftPolicy = AS_MEASURED, state: DriftState | None = None) -> None:
        self._policy, self._state = policy, state or DriftState()

    @property
    def version(self) -> str:
        """Return the version whose training rows are the reference; empty before the first."""
        return self._state.version

    def meets(self, version: str, reference: Reference) -> None:
        """Compare with the training rows of this version from now on."""
        self._state.version, self._state.reference = version, reference

    def day(self, as_of_day: int, matrix: Floats, probability: Float64s) -> DayDrift:
        """Compare the population of one midnight (UTC day number) with the training rows.

        Args:
            matrix: float32 [users, features], the features in the order of the reference's; missing is NaN.
            probability: what the champion says of each.
        """
        state, reference, rows = self._state, self._state.reference, len(matrix)
        refusal = self._refusal(as_of_day, rows)
        if refusal or reference is None:
            return DayDrift(as_of_day, rows, {}, 0.0, [], refusal)
        state.last_day = as_of_day
        moved = {name: each.moved(matrix[:, place]) for place, (name, each) in enumerate(reference.features.items())}
        score = reference.score.moved(probability)
        begun = [name for name, value in [*moved.items(), (SCORE, score)] if self._begins(name, value)]
        findings = _findings(as_of_day, begun, moved | {SCORE: score}, self._policy.level)
        return DayDrift(as_of_day, rows, moved, score, findings)

    def _refusal(self, day: int, rows: int) -> str:
        if self._state.reference is None:
            return "not judged: no champion's training rows to compare with"
        if day <= self._state.last_day:
            return "not judged: this day, or a later one, was judged before"
        if rows < self._policy.least_rows:
            return f"not judged: {rows} users are fewer than {self._policy.least_rows}"
        return ""

    def _begins(self, name: str, value: float) -> bool:
        policy, watched = self._policy, self._state.watched.setdefault(name, Watched())
        usual = sorted(watched.psis)[len(watched.psis) // 2] if len(watched.psis) >= policy.least_days else None
        watched.psis = [*watched.psis, value][-policy.usual_days :]
        above = usual is not None and value > policy.level and value > usual + policy.jump
        watched.above_days = watched.above_days + 1 if above else 0
        watched.calm_days = 0 if above else watched.calm_days + 1
        if watched.alarmed:
            watched.alarmed = watched.calm_days < policy.calm_days
            return False
        watched.alarmed = watched.above_days >= policy.persist_days
        return watched.alarmed

    def state(self) -> DriftState:
        """Return everything that it knows."""
        return self._state


def _findings(day: int, begun: Sequence[str], moved: dict[str, float], bound: float) -> list[Finding]:
    features = sorted((name for name in begun if name != SCORE), key=lambda name: -moved[name])
    found = []
    if features:
        others = f" (and {', '.join(features[1:6])})" if len(features) > 1 else ""
        says = f"{features[0]}{others} moved away from the champion's training rows"
        found.append(Finding("behaviour", day, features[0], moved[features[0]], bound, says))
    if SCORE in begun:
        says = "the champion's scores are distributed otherwise than on its training rows"
        found.append(Finding("score", day, "", moved[SCORE], bound, says))
    return found
