"""Whether a model says what everybody expects: more days of silence never lower the risk, all else equal."""

from dataclasses import dataclass

import numpy as np

from churn.declaration import ACTIVITY_COUNTER, Aggregate, Declaration
from churn.layout import Floats
from churn.model import Model, scorer_of

SWEPT_ROWS = 500
STEPS = 40
TOLERANCE = 1e-9
OWN_SILENCE = frozenset({Aggregate.SILENCE_TO_MEAN, Aggregate.SILENCE_TO_LONGEST, Aggregate.SILENCE_SURPRISE})


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
        f.source == ACTIVITY_COUNTER and (f.aggregate is Aggregate.DAYS_SINCE_LAST or f.aggregate in OWN_SILENCE)
        for f in declaration.features
    )


def sweeps(model: Model, declaration: Declaration, matrix: Floats) -> tuple[Sweep, ...]:
    """Move the days of silence of these vectors through the values that occur, all else equal."""
    rows = matrix[:: max(1, len(matrix) // SWEPT_ROWS)][:SWEPT_ROWS]
    found = zip(declaration.feature_names, silence_features(declaration), strict=True)
    return tuple(_sweep(model, name, column, rows, matrix) for column, (name, is_it) in enumerate(found) if is_it)


def _sweep(model: Model, name: str, column: int, rows: Floats, matrix: Floats) -> Sweep:
    seen = np.unique(matrix[:, column][~np.isnan(matrix[:, column])])
    values = seen[np.unique(np.linspace(0, len(seen) - 1, STEPS).round().astype(np.intp))] if len(seen) else seen
    scorer, said = scorer_of(model, ""), []
    for value in values.tolist():
        moved = rows.copy()
        moved[:, column] = value
        scored = scorer.score(moved)
        said.append(scored.base + scored.contributions.sum(axis=1))
    falls = -np.diff(np.array(said).reshape(len(said), len(rows)), axis=0)
    return Sweep(name, falls.size, int((falls > TOLERANCE).sum()), float(falls.max(initial=0.0)))
