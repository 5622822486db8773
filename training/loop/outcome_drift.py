"""Drift of the outcome: ADWIN over how badly the champion foretold what has now happened.

ADWIN (Bifet and Gavalda 2007) keeps a window of values in [0, 1] and cuts it where the means of both sides differ by more
than chance allows, were the values independent. The rows of one user on neighbouring days are nearly the same row, so
of each midnight only a part is taken, in a fixed order that mixes old users and new ones: one of ten, 300 at most.
Fed with all rows it cuts whenever the weather changes; fed with daily means, some hundred values, it never cuts at all.

A cut alone is no alarm. A loss rises also when everybody has become harder to foretell, in summer by 10 to 20 %, and no
training helps; then the champion says so itself, by probabilities nearer to a half. So after a cut the loss of the
last days must exceed, by a sixth, what the champion's own probabilities make to be expected.

Measured with weekly retrained champions of 5,000 users, three seeds in three orders of rows each: no alarm in nine quiet
years, and in nine of nine with a rise in price that makes users leave, 6 to 20 days after its first labels matured.

What is known outlives a restart as the values themselves: ADWIN fed with them again is where it was, bit for bit.
"""

import msgspec
import numpy as np
import numpy.typing as npt
from river.drift import ADWIN

from churn.evaluation import log_loss, losses
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
        least_excess: of the loss that the champion's probabilities make to be expected.
        recent_days: the loss after a cut is that of so many days.
        cut_days: so long a cut stands, waiting for what else an alarm needs.
        most_days: so many are kept at most; then the older half is forgotten.
    """

    delta: float = 1e-4
    least_rows: int = 100
    one_of: int = 10
    most_rows: int = 300
    least_rise: float = 0.1
    least_excess: float = 0.15
    recent_days: int = 7
    cut_days: int = 28
    most_days: int = 120


class Midnight(msgspec.Struct, frozen=True):
    """All rows of one midnight: their mean loss, and what the probabilities made to be expected; nats."""

    seen: float
    expected: float


class OutcomeState(msgspec.Struct, frozen=True):
    """What ADWIN was fed with since it began, and what an alarm is decided from.

    Attributes:
        losses, rows: in steps (little-endian uint16), and how many each day.
        recent: the last midnights, the oldest first.
        cut_day, before: the first cut that still stands and the loss before it; -1 without one.
    """

    losses: bytes = b""
    rows: tuple[int, ...] = ()
    last_day: int = -1
    recent: tuple[Midnight, ...] = ()
    cut_day: int = -1
    before: float = 0.0


AS_MEASURED, NEW = OutcomePolicy(), OutcomeState()


class OutcomeDrift:
    """Watches the champion's loss on matured labels."""

    def __init__(self, policy: OutcomePolicy = AS_MEASURED, state: OutcomeState = NEW) -> None:
        self._policy, self._last_day = policy, state.last_day
        self._recent, self._cut_day, self._before = state.recent, state.cut_day, state.before
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
        self._recent = (*self._recent, _midnight(churned, probability))[-self._policy.recent_days :]
        self._see(as_of_day, self._part(as_of_day, churned, probability))
        return self._risen(as_of_day) if self._cut_day >= 0 else []

    def _see(self, day: int, part: Kept) -> None:
        before = float(self._adwin.estimation) * MOST_NATS
        cut = self._take(part)
        if self._cut_day >= 0 and day - self._cut_day > self._policy.cut_days:
            self._cut_day = -1
        # What River's ADWIN keeps after a cut may be a dozen values (of 21,000), whose mean says nothing.
        if cut and self._cut_day < 0 and self._lately().seen > before:
            self._cut_day, self._before = day, before

    def _lately(self) -> Midnight:
        seen = float(np.mean([each.seen for each in self._recent]))
        return Midnight(seen, float(np.mean([each.expected for each in self._recent])))

    def _risen(self, day: int) -> list[Finding]:
        seen, expected = self._lately().seen, self._lately().expected
        bound = max(self._before * (1 + self._policy.least_rise), expected * (1 + self._policy.least_excess))
        if seen <= bound:
            return []
        self._days, self._cut_day = [], -1
        self._adwin = self._fed_again()
        says = (
            f"log loss of matured labels rose from {self._before:.3f} to {seen:.3f}; {expected:.3f} was to be expected"
        )
        return [Finding("outcome", day, "", seen, bound, says)]

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
        rows = tuple(len(day) for day in self._days)
        return OutcomeState(kept, rows, self._last_day, self._recent, self._cut_day, self._before)

    def _fed_again(self) -> ADWIN:
        # River's signatures have no types; a look every 32 values, as River's default, costs 3 us a value.
        adwin = ADWIN(delta=self._policy.delta, clock=32)  # type: ignore[no-untyped-call]  # River has no types
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


def _midnight(churned: npt.NDArray[np.bool_], probability: Float64s) -> Midnight:
    told = np.clip(probability, 1e-9, 1 - 1e-9)
    expected = -(told * np.log(told) + (1 - told) * np.log1p(-told))
    return Midnight(round(log_loss(churned, probability), 6), round(float(expected.mean()), 6))
