"""Drift of the outcome: ADWIN over how badly the champion foretold what has now happened.

ADWIN (Bifet and Gavalda 2007) keeps a window of values and cuts it where the means of both sides differ by more than
chance allows. It is fed one value a day, the mean log loss of the rows whose label matured, because the rows of one user
on neighbouring days say nearly the same.
"""

import msgspec
import numpy as np
import numpy.typing as npt
from river.drift import ADWIN

from churn.evaluation import log_loss
from churn.layout import Float64s
from training.loop.finding import Finding


class OutcomePolicy(msgspec.Struct, frozen=True):
    """When a loss has risen. `delta` is ADWIN's chance of a false cut, were the values independent."""

    delta: float = 0.002
    min_rows: int = 100
    least_rise: float = 0.05
    """Of the loss before."""
    keep_days: int = 730


class OutcomeState(msgspec.Struct, frozen=True):
    """The daily losses since the last alarm: ADWIN fed with them again is where it was."""

    losses: tuple[float, ...] = ()
    last_day: int = -1


AS_MEASURED, NEW = OutcomePolicy(), OutcomeState()


class OutcomeDrift:
    """Watches the champion's loss on matured labels."""

    def __init__(self, policy: OutcomePolicy = AS_MEASURED, state: OutcomeState = NEW) -> None:
        self._policy = policy
        self._losses: list[float] = []
        self._last_day = state.last_day
        self._adwin = self._fresh()
        for loss in state.losses:
            self._cut(loss)

    def day(self, as_of_day: int, churned: npt.NDArray[np.bool_], probability: Float64s) -> list[Finding]:
        """Take the matured rows of one midnight (UTC day number); returns an alarm when the loss has risen.

        A day that was taken already, or is older, is passed over: labels come in the order of time.
        """
        if as_of_day <= self._last_day or len(churned) < self._policy.min_rows:
            return []
        self._last_day = as_of_day
        before, whole = float(self._adwin.estimation), self._adwin.width
        cut = self._cut(log_loss(churned, probability))
        after = float(self._adwin.estimation)
        if not cut or not whole or after < before * (1 + self._policy.least_rise):
            return []
        self._adwin, self._losses = self._fresh(), []
        return [Finding("outcome", as_of_day, "", after, before, _says(after, before))]

    def _fresh(self) -> ADWIN:
        settings = {"delta": self._policy.delta, "clock": 1, "min_window_length": 5, "grace_period": 20}
        return ADWIN(**settings)  # type: ignore[no-untyped-call]  # River's signature has no types

    def _cut(self, loss: float) -> bool:
        self._losses.append(loss)
        self._adwin.update(loss)  # type: ignore[no-untyped-call]  # as above
        return bool(self._adwin.drift_detected)

    def state(self) -> OutcomeState:
        """Return everything that it knows."""
        return OutcomeState(tuple(self._losses), self._last_day)


def _says(after: float, before: float) -> str:
    return f"log loss of matured labels rose from {before:.4f} to {after:.4f}: the champion foretells worse than it did"
