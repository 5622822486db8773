"""Drift of the outcome: ADWIN over how badly the champion foretold what has now happened.

ADWIN (Bifet and Gavalda 2007) keeps a window of values in [0, 1] and cuts it where the means of both sides differ by more
than chance allows, were the values independent. The rows of one user on neighbouring days are nearly the same row, so
of each midnight only a part is taken, in a fixed order that mixes old users and new ones: one of ten, 300 at most.
Fed with all rows it cuts whenever the weather changes; fed with daily means, some hundred values, it never cuts at all.

What is known outlives a restart as the values themselves: ADWIN fed with them again is where it was, bit for bit.
"""

import msgspec
import numpy as np
import numpy.typing as npt
from river.drift import ADWIN

from churn.evaluation import losses
from churn.layout import Float64s
from training.loop.finding import Finding

Kept = npt.NDArray[np.uint16]
MOST_NATS = 6.0
"""Losses beyond are cut off, so that one row that was wrong by 400 to 1 counts as any other."""
STEPS = 10_000
"""To a nat: what is kept of a row's loss is a whole number in 16 bits."""
MIX = 0x9E3779B97F4A7C15


class OutcomePolicy(msgspec.Struct, frozen=True):
    """When a loss has risen.

    Attributes:
        delta: ADWIN's chance of a false cut, were the values independent.
        least_rows: of a midnight, matured; fewer are passed over.
        one_of, most_rows: which part of a midnight's rows is taken.
        least_rise: of the loss before; a smaller one concerns nobody.
        recent_days: the loss after a cut is that of so many days.
        most_days: so many are kept at most; then the older half is forgotten.
    """

    delta: float = 1e-4
    least_rows: int = 100
    one_of: int = 10
    most_rows: int = 300
    least_rise: float = 0.1
    recent_days: int = 7
    most_days: int = 120


class OutcomeState(msgspec.Struct, frozen=True):
    """What ADWIN was fed with since it began: losses in steps (little-endian uint16), and how many each day."""

    losses: bytes = b""
    rows: tuple[int, ...] = ()
    last_day: int = -1


AS_MEASURED, NEW = OutcomePolicy(), OutcomeState()


class OutcomeDrift:
    """Watches the champion's loss on matured labels."""

    def __init__(self, policy: OutcomePolicy = AS_MEASURED, state: OutcomeState = NEW) -> None:
        self._policy, self._last_day = policy, state.last_day
        kept = np.frombuffer(state.losses, "<u2")
        self._days: list[Kept] = np.split(kept, np.cumsum(state.rows)[:-1]) if state.rows else []
        self._adwin = self._fed_again()

    def day(self, as_of_day: int, churned: npt.NDArray[np.bool_], probability: Float64s) -> list[Finding]:
        """Take the matured rows of one midnight (UTC day number); returns an alarm when the loss has risen.

        A midnight that was taken already, or is older, is passed over: labels come in the order of time.
        """
        if as_of_day <= self._last_day or len(churned) < self._policy.least_rows:
            return []
        self._last_day = as_of_day
        before, cut = float(self._adwin.estimation) * MOST_NATS, self._take(self._part(as_of_day, churned, probability))
        after = float(np.concatenate(self._days[-self._policy.recent_days :]).mean()) / STEPS
        if cut and after > before * (1 + self._policy.least_rise):
            self._days = []
            self._adwin = self._fed_again()
            bound = before * (1 + self._policy.least_rise)
            return [Finding("outcome", as_of_day, "", after, bound, _says(after, before))]
        return []

    def _part(self, day: int, churned: npt.NDArray[np.bool_], probability: Float64s) -> Kept:
        rows = len(churned)
        order = np.argsort((np.arange(rows, dtype=np.uint64) + np.uint64(day * rows)) * np.uint64(MIX), kind="stable")
        chosen = order[: min(self._policy.most_rows, max(1, rows // self._policy.one_of))]
        nats = np.minimum(losses(churned[chosen], probability[chosen]), MOST_NATS)
        return np.asarray(np.rint(nats * STEPS), "<u2")

    def _take(self, part: Kept) -> bool:
        self._days.append(part)
        cut = _feed(self._adwin, part)
        if len(self._days) > self._policy.most_days:
            self._days = self._days[-(self._policy.most_days // 2) :]
            self._adwin = self._fed_again()
        return cut

    def state(self) -> OutcomeState:
        """Return everything that it knows."""
        kept = np.concatenate([np.zeros(0, "<u2"), *self._days]).tobytes()
        return OutcomeState(kept, tuple(len(day) for day in self._days), self._last_day)

    def _fed_again(self) -> ADWIN:
        # River's signatures have no types; a look every 32 values, as River's default, costs 3 us a value.
        adwin = ADWIN(delta=self._policy.delta, clock=32)  # type: ignore[no-untyped-call]
        for day in self._days:
            _feed(adwin, day)
        return adwin


def _feed(adwin: ADWIN, part: Kept) -> bool:
    """Feed one midnight's losses; returns whether the window was cut."""
    cut = False
    for value in (part / (STEPS * MOST_NATS)).tolist():
        adwin.update(value)  # type: ignore[no-untyped-call]  # River has no types
        cut = cut or bool(adwin.drift_detected)
    return cut


def _says(after: float, before: float) -> str:
    return f"log loss of matured labels rose from {before:.4f} to {after:.4f}: the champion foretells worse than it did"
