"""Who the probability speaks of, told from vectors alone: active in the label's horizon, and not known to be gone."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from churn.declaration import ACTIVITY_COUNTER, Aggregate, Declaration
from churn.errors import DeclarationError
from churn.layout import Floats

Mask = npt.NDArray[np.bool_]


class Population:
    """Tells from vectors alone who is in the population: active in the horizon, and not excluded by the label."""

    def __init__(self, declaration: Declaration) -> None:
        """Find the columns that tell.

        Raises:
            DeclarationError: the features do not tell; names the feature to add.
        """
        self._horizon_days = declaration.label.horizon_days
        self._silent = _silence_column(declaration)
        self._excluded = [_exclusion_column(declaration, *pair) for pair in declaration.label.exclude.items()]

    def active(self, matrix: Floats) -> Mask:
        """Return whose probability means something, of float32 [n, features] at any time of the day."""
        return self._within(matrix, 0)

    def at_midnight(self, matrix: Floats) -> Mask:
        """Return who is in the population of a midnight; activity of the day that begins there is not of the past."""
        return self._within(matrix, 1)

    def _within(self, matrix: Floats, least_days: int) -> Mask:
        silent = matrix[:, self._silent]
        # Without any activity the days are missing (NaN), which compares as false.
        chosen = (silent >= least_days) & (silent <= self._horizon_days)
        for column in self._excluded:
            chosen &= matrix[:, column] == 0
        return np.asarray(chosen, np.bool_)


def activity_teller(declaration: Declaration) -> Callable[[Floats], Mask]:
    """Return what tells whose probability means something; where the features cannot tell, it is everybody's."""
    try:
        return Population(declaration).active
    except DeclarationError:
        return lambda matrix: np.ones(len(matrix), np.bool_)


def _silence_column(declaration: Declaration) -> int:
    horizon = declaration.label.horizon_days
    for column, feature in enumerate(declaration.features):
        silence = feature.aggregate is Aggregate.DAYS_SINCE_LAST and feature.source == ACTIVITY_COUNTER
        if silence and feature.cap > horizon:
            return column
    raise DeclarationError(
        f"{declaration.business}: the features must tell who is active; add the feature"
        f" `days_since_last_activity: {{days_since_last: activity, cap: 90, says: ...}}` with a cap above {horizon}"
    )


def _exclusion_column(declaration: Declaration, register: str, value: str) -> int:
    for column, feature in enumerate(declaration.features):
        if feature.aggregate is Aggregate.IS and (feature.source, feature.value) == (register, value):
            return column
    raise DeclarationError(
        f"{declaration.business}: the features must tell whom label.exclude leaves out; add the feature"
        f" `{register}_{value}: {{is: {register}, value: {value}, says: ...}}`"
    )
