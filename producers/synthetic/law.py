"""The law of the invented business: a hidden Markov chain per user, with a different matrix every day.

Hidden state of a user on a day: engagement x plan x billing x mood (8 x 3 x 2 x 2 = 96 states). Fixed per user: a habit
(how often, how soon tired) and the day of the billing cycle. Each day the user is active or not, given the state; then
engagement, plan, billing and mood each move, independently given the state. Nothing else decides about activity,
which is what makes the churn probability of `oracle` exact.

Causes of leaving: tiring (keen -> steady -> weary -> dormant), failed payments and bad support (both make every
way out likelier), price (see `drift`), and having learnt what one came for (finishing -> lost).
"""

from dataclasses import dataclass
from datetime import date
from math import cos, tau

import numpy as np
from numpy.typing import NDArray

from producers.synthetic.drift import Conditions

Array = NDArray[np.float64]

ENGAGEMENTS = ("lost", "dormant", "break", "weary", "steady", "keen", "finishing", "cancelled")
PLANS = ("free", "basic", "pro")
BILLINGS = ("good", "failing")
MOODS = ("content", "aggrieved")
HABITS = ("casual", "regular", "heavy", "sprinter")
LOST, DORMANT, BREAK, WEARY, STEADY, KEEN, FINISHING, CANCELLED = range(8)
FREE, BASIC, PRO = range(3)
GOOD, FAILING = range(2)
CONTENT, AGGRIEVED = range(2)
STATES = len(ENGAGEMENTS) * len(PLANS) * len(BILLINGS) * len(MOODS)
BILLING_CYCLE_DAYS = 30

# Chance per day to move from one engagement to another, for a content, paying user of regular habit.
MOVES: dict[tuple[int, int], float] = {
    (KEEN, STEADY): 0.030,
    (KEEN, FINISHING): 0.004,
    (KEEN, BREAK): 0.010,
    (STEADY, KEEN): 0.015,
    (STEADY, WEARY): 0.007,
    (STEADY, BREAK): 0.014,
    (STEADY, DORMANT): 0.0003,
    (WEARY, STEADY): 0.020,
    (WEARY, BREAK): 0.002,
    (WEARY, DORMANT): 0.016,
    (WEARY, LOST): 0.009,
    (FINISHING, LOST): 0.045,
    (FINISHING, KEEN): 0.020,
    (BREAK, STEADY): 0.075,
    (BREAK, KEEN): 0.020,
    (BREAK, DORMANT): 0.001,
    (DORMANT, WEARY): 0.028,
    (DORMANT, STEADY): 0.010,
    (DORMANT, LOST): 0.015,
    (LOST, STEADY): 0.011,
    (LOST, WEARY): 0.014,
    (CANCELLED, STEADY): 0.005,
}
# Chance per day of a paying user to cancel; users of the free plan close their account a tenth as often.
CANCELS = {LOST: 0.002, DORMANT: 0.002, BREAK: 0.0006, WEARY: 0.002, STEADY: 0.0003, KEEN: 0.0002, FINISHING: 0.008}
FREE_CANCELS = 0.1
WAYS_OUT = (WEARY, DORMANT, LOST, CANCELLED)
AGGRIEVED_LEAVES = 10.0
FAILING_LEAVES = 8.0
# How much likelier a habit or plan makes the ways out.
HABIT_TIRES: Array = np.array([1.0, 1.0, 0.7, 1.3])
HABIT_FINISHES: Array = np.array([0.7, 1.0, 1.0, 5.0])
PLAN_TIRES: Array = np.array([1.5, 1.0, 0.5])
SUMMER_BREAKS = 0.5

# Visits a day by engagement and by habit; a day is silent with chance exp(-visits).
VISITS: Array = np.array([0.0, 0.0, 0.0, 0.30, 0.60, 1.00, 0.30, 0.0])
HABIT_VISITS: Array = np.array([0.22, 0.8, 2.2, 1.5])
WEEKDAYS = (1.12, 1.10, 1.05, 1.00, 0.88, 0.80, 1.05)
SEASON = 0.15

UPGRADES: Array = np.array([0.0, 0.0, 0.0, 0.0001, 0.0005, 0.0025, 0.0002, 0.0])
DOWNGRADES: Array = np.array([0.001, 0.001, 0.0002, 0.003, 0.0006, 0.0002, 0.006, 0.0])

RECOVERS = 0.12
ANGERS: Array = np.array([0.0, 0.0, 0.0005, 0.006, 0.006, 0.005, 0.002, 0.0])
FAILING_ANGERS = 0.04
CALMS = 0.05


@dataclass(frozen=True)
class DayLaw:
    """The law of one day. Axes: H habit, E engagement, P plan, B billing, M mood; the last axis is where to.

    `active` [H, E]: chance of at least one activity event. `visits` [H, E]: mean number of visits.
    `engagement` [H, E, P, B, M, E], `plan` [E, P, P], `billing` [due, E, P, B, B], `mood` [E, B, M, M]: chances.
    """

    active: Array
    visits: Array
    engagement: Array
    plan: Array
    billing: Array
    mood: Array

    def joint(self) -> Array:
        """Return the chances between whole states: [H, due, STATES, STATES]."""
        joint = np.einsum(
            "hepbmE,epP,depbB,ebmM->hdepbmEPBM", self.engagement, self.plan, self.billing, self.mood, optimize=True
        )
        return np.asarray(joint.reshape(len(HABITS), 2, STATES, STATES))


def day_law(day: date, held: Conditions) -> DayLaw:
    """Return the law of `day` under the conditions that hold on it."""
    summer = _summer(day)
    visits = HABIT_VISITS[:, None] * VISITS * WEEKDAYS[day.weekday()] * (1 - SEASON * summer)
    return DayLaw(
        active=1 - np.exp(-visits),
        visits=visits,
        engagement=_engagement(summer, held.price_anger),
        plan=_plan(held.price_anger),
        billing=_billing(held.payment_failure),
        mood=_mood(),
    )


def state_index(
    engagement: NDArray[np.int8], plan: NDArray[np.int8], billing: NDArray[np.int8], mood: NDArray[np.int8]
) -> NDArray[np.int64]:
    """Return the position of each state among the STATES, in the order of `DayLaw.joint`."""
    index: NDArray[np.int64] = ((engagement.astype(np.int64) * 3 + plan) * 2 + billing) * 2 + mood
    return index


def _summer(day: date) -> float:
    """Return 1 in mid-July, -1 in mid-January."""
    return -cos(tau * (day.timetuple().tm_yday - 15) / 365.25)


def _engagement(summer: float, price_anger: float) -> Array:
    """Chances [H, E, P, B, M, E]: every move times what hastens it; the rest stays."""
    chances = np.zeros((len(HABITS), len(ENGAGEMENTS), 3, 2, 2, len(ENGAGEMENTS)))
    for (here, there), chance in MOVES.items():
        chances[:, here, ..., there] = chance
    for here, chance in CANCELS.items():
        chances[:, here, ..., CANCELLED] = chance * np.array([FREE_CANCELS, 1.0, 1.0])[:, None, None]
    chances[..., BREAK] *= 1 + SUMMER_BREAKS * max(0.0, summer)
    chances[..., FINISHING] *= HABIT_FINISHES[:, None, None, None, None]
    leaving = _leaving(price_anger)
    for there in WAYS_OUT:
        # Coming back to weary from a silence is no way out, so only those who are still about are hastened.
        chances[:, WEARY : CANCELLED + 1, ..., there] *= leaving[:, None]
    return _staying(chances)


def _leaving(price_anger: float) -> Array:
    """Return how much likelier habit, plan, billing and mood make the ways out: [H, P, B, M]."""
    plan = PLAN_TIRES * (1 + price_anger * np.array([0.0, 1.0, 1.0]))
    billing = np.array([1.0, FAILING_LEAVES])
    mood = np.array([1.0, AGGRIEVED_LEAVES])
    return np.asarray(np.einsum("h,p,b,m->hpbm", HABIT_TIRES, plan, billing, mood))


def _staying(chances: Array) -> Array:
    """Fill in the chance to stay; hastened moves may at most use up 95 % of a day."""
    moving = chances.sum(axis=-1, keepdims=True)
    chances = chances * np.minimum(1.0, 0.95 / np.maximum(moving, 1e-12))
    here = np.arange(len(ENGAGEMENTS))
    chances[:, here, ..., here] = 1 - chances.sum(axis=-1).swapaxes(0, 1)
    return chances


def _plan(price_anger: float) -> Array:
    chances = np.zeros((len(ENGAGEMENTS), 3, 3))
    chances[:, FREE, BASIC] = UPGRADES
    chances[:, BASIC, PRO] = UPGRADES
    chances[:, BASIC, FREE] = DOWNGRADES * (1 + price_anger)
    chances[:, PRO, BASIC] = DOWNGRADES * (1 + price_anger)
    plans = np.arange(3)
    chances[:, plans, plans] = 1 - chances.sum(axis=-1)
    return chances


def _billing(payment_failure: float) -> Array:
    """Only a running paid plan is charged, on its day of the cycle; a declined charge is tried again until it works."""
    chances = np.zeros((2, len(ENGAGEMENTS), 3, 2, 2))
    chances[..., GOOD] = 1
    paid = chances[:, :CANCELLED, BASIC:]
    paid[1, :, :, GOOD] = [1 - payment_failure, payment_failure]
    # A retry succeeds less often in the same measure as the first charge does.
    recovers = RECOVERS * (1 - payment_failure)
    paid[:, :, :, FAILING] = [recovers, 1 - recovers]
    return chances


def _mood() -> Array:
    chances = np.zeros((len(ENGAGEMENTS), 2, 2, 2))
    chances[:, GOOD, CONTENT, AGGRIEVED] = ANGERS
    chances[:, FAILING, CONTENT, AGGRIEVED] = ANGERS + FAILING_ANGERS
    chances[..., CONTENT, CONTENT] = 1 - chances[..., CONTENT, AGGRIEVED]
    chances[..., AGGRIEVED, :] = [CALMS, 1 - CALMS]
    return chances
