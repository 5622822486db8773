"""Whether a model says what everybody expects: more days of silence never lower the risk, all else equal."""

from dataclasses import dataclass

import numpy as np

from churn.declaration import ACTIVITY_COUNTER, Aggregate, Declaration, Feature
from churn.layout import Floats
from churn.model import Model, Scorer

SWEPT_ROWS = 500
STEPS = 40
TOLERANCE = 1e-9
SURPRISE = Aggregate.SILENCE_SURPRISE
OWN_SILENCE = frozenset({Aggregate.SILENCE_TO_MEAN, Aggregate.SILENCE_TO_LONGEST, SURPRISE})


@dataclass(frozen=True)
class Sweep:
    """How often a step to more silence lowered the risk, and by how much log-odds at worst."""

    feature: str
    steps: int
    violations: int
    worst: float

    @property
    def share(self) -> float:
        """Return the share of steps that lowered the risk."""
        return self.violations / self.steps if self.steps else 0.0


def silence_features(declaration: Declaration) -> tuple[bool, ...]:
    """Return, for each feature, whether it measures the present silence: in days, or against the user's own pauses."""
    return tuple(
        _is_days(f) or (f.source == ACTIVITY_COUNTER and f.aggregate in OWN_SILENCE) for f in declaration.features
    )


def sweeps(model: Model, declaration: Declaration, matrix: Floats) -> tuple[Sweep, ...]:
    """Move the days of silence of these vectors through the values that occur, all else equal.

    What holds the silence against the user's own pauses moves with it, as it would: those pauses are else.
    """
    columns = [column for column, f in enumerate(declaration.features) if _is_days(f)]
    return tuple(_sweep(model, Silence.of(declaration, column), matrix) for column in columns)


def _is_days(feature: Feature) -> bool:
    return feature.aggregate is Aggregate.DAYS_SINCE_LAST and feature.source == ACTIVITY_COUNTER


@dataclass(frozen=True)
class Silence:
    """The columns that measure the present silence: days, ratios to pauses, and excess over the mean pause."""

    feature: str
    days: int
    ratios: tuple[int, ...]
    excesses: tuple[int, ...]
    spread: int | None

    @classmethod
    def of(cls, declaration: Declaration, days: int) -> "Silence":
        """Find them beside a column of days."""
        kinds = [feature.aggregate for feature in declaration.features]
        ratios = tuple(c for c, kind in enumerate(kinds) if kind in OWN_SILENCE and kind is not SURPRISE)
        excesses = tuple(c for c, kind in enumerate(kinds) if kind is SURPRISE)
        spread = kinds.index(Aggregate.GAP_SPREAD) if Aggregate.GAP_SPREAD in kinds else None
        return cls(declaration.feature_names[days], days, ratios, excesses if spread is not None else (), spread)

    def moved(self, rows: Floats, days: float) -> Floats:
        """Return the vectors with so many days of silence instead."""
        moved, former = rows.copy(), rows[:, self.days]
        moved[:, self.days] = days
        for column in self.ratios:
            moved[:, column] *= days / former
        for column in self.excesses:
            moved[:, column] += (days - former) / (rows[:, self.spread] + 1)
        return moved


def _sweep(model: Model, silence: Silence, matrix: Floats) -> Sweep:
    days = matrix[:, silence.days]
    # Who was never active has no silence; on the day of an activity there is nothing to scale.
    known = matrix[days >= 1]
    rows, seen = known[:: max(1, len(known) // SWEPT_ROWS)][:SWEPT_ROWS], np.unique(days[~np.isnan(days)])
    values = seen[np.unique(np.linspace(0, len(seen) - 1, STEPS).round().astype(np.intp))] if len(seen) else seen
    scorer, said = Scorer(model, ""), []
    for value in values.tolist():
        scored = scorer.score(silence.moved(rows, value))
        said.append(scored.base + scored.contributions.sum(axis=1))
    falls = -np.diff(np.array(said).reshape(len(said), len(rows)), axis=0)
    return Sweep(silence.feature, falls.size, int((falls > TOLERANCE).sum()), float(falls.max(initial=0.0)))
