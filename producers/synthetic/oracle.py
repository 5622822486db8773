"""The true probability of churn, exact by backward recursion over the law.

With q_d(s) the chance of a silent day d in state s and T_d the chances of moving on, the chance of silence from day d on is
    h_k(s) = q_{d+k}(s) * sum over s' of T_{d+k}(s, s') * h_{k+1}(s'),    h_30 = 1,
and h_0 is the probability of no activity in the 30 days from midnight of day d, given the hidden state of that day.
"""

from collections.abc import Callable

import numpy as np

from producers.synthetic.law import BILLING_CYCLE_DAYS, HABITS, STATES, Array, DayLaw

HORIZON_DAYS = 30


class Oracle:
    """Know the churn probability of every hidden state on every day.

    `law_of` gives the law of a day by its number; a user's charge is due on the days with
    (day + cycle) % BILLING_CYCLE_DAYS == 0.
    """

    def __init__(self, law_of: Callable[[int], DayLaw], horizon_days: int = HORIZON_DAYS) -> None:
        self._law_of = law_of
        self._horizon_days = horizon_days
        self._days: dict[int, tuple[Array, Array]] = {}

    def churn_probability(self, day: int) -> Array:
        """Return P(no activity in the horizon from midnight of `day`): [H, STATES, cycle]."""
        self._forget_before(day)
        silent = np.ones((len(HABITS), STATES, BILLING_CYCLE_DAYS))
        for ahead in reversed(range(self._horizon_days)):
            silent = self._day_before(day + ahead, silent)
        # Rows sum to 1 within 1e-16 a day, so a chance of 1 may come out a trifle above it.
        return np.minimum(silent, 1.0)

    def _day_before(self, day: int, silent: Array) -> Array:
        quiet, joint = self._of(day)
        due = -day % BILLING_CYCLE_DAYS
        moved = joint[:, 0] @ silent
        moved[:, :, due] = (joint[:, 1] @ silent[:, :, due, None])[:, :, 0]
        return np.asarray(quiet[:, :, None] * moved)

    def _of(self, day: int) -> tuple[Array, Array]:
        if day not in self._days:
            law = self._law_of(day)
            quiet = np.repeat(1 - law.active, STATES // law.active.shape[1], axis=1)
            self._days[day] = (quiet, law.joint())
        return self._days[day]

    def _forget_before(self, day: int) -> None:
        for old in [known for known in self._days if known < day]:
            del self._days[old]
