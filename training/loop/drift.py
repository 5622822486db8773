"""Drift of what the champion sees and says: each midnight's population against its training rows.

A population is never like the training rows, which are weeks older: everybody has grown older, summer has come. What
moves by itself moves slowly, so the alarm is not the PSI but how far it has risen above what it was in the last four
weeks, or (a drift may be slow as well) above what it was a quarter of a year ago. Measured on three quiet years of 5,000
users with a new reference each week, the greatest rise of any feature above its last four weeks was 0.067 once the records
were half a year old (0.12 before, of a feature that looks back 90 days and stood at 0.9), above the last quarter
0.13, of the score 0.024. A wave of machines raises the sessions by 0.2 on its third day, four days without charges raise
failed payments by 0.13 on the fifth day, a new type of lesson the lessons by 0.1 on day 9 to 19 (their minutes are
seen earlier, see `suspicions`); a rise in price is no feature.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from churn.layout import Float64s, Floats
from training.loop.finding import Finding
from training.loop.reference import Reference

SCORE = ""
"""Names the score where features have their names."""
TOLD = 5
"""So many features are named in a sentence."""


class DriftPolicy(msgspec.Struct, frozen=True):
    """When a distribution has moved.

    Attributes:
        least_rows: fewer users at a midnight are not judged.
        jump, jump_days: how far the PSI must rise above its median of so many last days.
        creep, creep_days: how far above what it was so many days ago (the median of `jump_days` from there on).
        times: and so many times what it was; a feature that is always far off trembles more.
        least_days: fewer known days say nothing of what is usual.
        persist_days: so many days in a row make an alarm.
        calm_days: so many days in a row without make it possible again.
    """

    least_rows: int = 200
    jump: float = 0.1
    jump_days: int = 28
    creep: float = 0.2
    creep_days: int = 91
    times: float = 1.5
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


class Watched(msgspec.Struct, frozen=True):
    """One feature or the score: its last PSIs, the oldest first, and where its alarm stands."""

    psis: tuple[float, ...] = ()
    above_days: int = 0
    calm_days: int = 0
    alarmed: bool = False


class DriftState(msgspec.Struct):
    """Everything that the monitor knows; plain JSON."""

    version: str = ""
    reference: Reference | None = None
    last_day: int = -1
    watched: dict[str, Watched] = {}
    """By feature; the score by its empty name."""


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
        state, rows = self._state, len(matrix)
        refusal = self._refusal(as_of_day, rows)
        if refusal:
            return DayDrift(as_of_day, rows, {}, 0.0, [], refusal)
        state.last_day = as_of_day
        found = self.moved(matrix, probability)
        bounds = {name: self._bound(name) for name in found}
        begun = [name for name, value in found.items() if self._begins(name, value, bounds[name])]
        moved = {name: value for name, value in found.items() if name != SCORE}
        return DayDrift(as_of_day, rows, moved, found[SCORE], _findings(as_of_day, begun, found, bounds))

    def moved(self, matrix: Floats, probability: Float64s) -> dict[str, float]:
        """Return the PSI of each feature and of the score (by its empty name); of too few users, or without a reference, none."""
        reference = self._state.reference
        if reference is None or len(matrix) < self._policy.least_rows:
            return {}
        moved = {name: each.moved(matrix[:, place]) for place, (name, each) in enumerate(reference.features.items())}
        return moved | {SCORE: reference.score.moved(probability)}

    def _refusal(self, day: int, rows: int) -> str:
        if self._state.reference is None:
            return "not judged: no champion's training rows to compare with"
        if day <= self._state.last_day:
            return "not judged: this day, or a later one, was judged before"
        if rows < self._policy.least_rows:
            return f"not judged: {rows} users are fewer than {self._policy.least_rows}"
        return ""

    def _bound(self, name: str) -> float:
        """Return what the PSI of today must not exceed, given those before."""
        policy, known = self._policy, self._state.watched.get(name, Watched()).psis
        if len(known) < policy.least_days:
            return float("inf")
        lately = _median(known[-policy.jump_days :])
        bound = max(lately + policy.jump, lately * policy.times)
        if len(known) < policy.creep_days:
            return bound
        once = _median(known[: policy.jump_days])
        return min(bound, max(once + policy.creep, once * policy.times))

    def _begins(self, name: str, value: float, bound: float) -> bool:
        policy, before = self._policy, self._state.watched.get(name, Watched())
        above_days = before.above_days + 1 if value > bound else 0
        calm_days = 0 if value > bound else before.calm_days + 1
        alarmed = above_days >= policy.persist_days or (before.alarmed and calm_days < policy.calm_days)
        psis = (*before.psis, round(value, 4))[-policy.creep_days :]
        self._state.watched[name] = Watched(psis, above_days, calm_days, alarmed)
        return alarmed and not before.alarmed

    def state(self) -> DriftState:
        """Return everything that it knows."""
        return self._state


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _findings(day: int, begun: Sequence[str], moved: Mapping[str, float], bounds: Mapping[str, float]) -> list[Finding]:
    """Return one finding of the features that begin to drift, named by the one that moved furthest, and one of the score."""
    features = sorted((name for name in begun if name != SCORE), key=lambda name: -moved[name])
    found = []
    if features:
        worst, others = features[0], len(features) - TOLD
        named = ", ".join(f"{name} (PSI {moved[name]:.2f})" for name in features[:TOLD])
        says = f"{named}{f' and {others} more' if others > 0 else ''} moved away from the champion's training rows"
        found.append(Finding("behaviour", day, worst, moved[worst], bounds[worst], says))
    if SCORE in begun:
        says = f"the champion's scores (PSI {moved[SCORE]:.2f}) are distributed otherwise than on its training rows"
        found.append(Finding("score", day, "", moved[SCORE], bounds[SCORE], says))
    return found
