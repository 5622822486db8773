"""The users of the invented business: who they are, their hidden state, and how they move by the law of a day."""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from producers.synthetic.law import (
    BASIC,
    BILLING_CYCLE_DAYS,
    CANCELLED,
    CONTENT,
    ENGAGEMENTS,
    GOOD,
    KEEN,
    STEADY,
    Array,
    DayLaw,
    state_index,
)

Codes = NDArray[np.int8]
Columns = TypeVar("Columns", "Traits", "States")

HABIT_SHARES: Array = np.array([0.30, 0.40, 0.20, 0.10])
PLAN_SHARES: Array = np.array([0.50, 0.32, 0.18])
STARTS_KEEN = 0.6
ABILITY_MEAN, ABILITY_SPREAD = 72.0, 8.0
PACE_SPREAD = 0.25
NEVER = -10_000


@dataclass(frozen=True)
class States:
    """The hidden states of all users at one midnight, one array per part."""

    engagement: Codes
    plan: Codes
    billing: Codes
    mood: Codes

    def index(self) -> NDArray[np.int64]:
        """Return each user's position among the law's states."""
        return state_index(self.engagement, self.plan, self.billing, self.mood)

    def paying(self) -> NDArray[np.bool_]:
        """Return who has a running paid plan."""
        paying: NDArray[np.bool_] = (self.plan >= BASIC) & (self.engagement != CANCELLED)
        return paying


@dataclass(frozen=True)
class Traits:
    """What never changes about the users: `cycle` is the phase of the billing cycle, `pace` scales minutes."""

    habit: Codes
    cycle: Codes
    ability: Array
    pace: Array

    def due(self, day: int) -> NDArray[np.bool_]:
        """Return whose charge is due on day number `day`."""
        due: NDArray[np.bool_] = (self.cycle.astype(np.int64) + day) % BILLING_CYCLE_DAYS == 0
        return due


@dataclass
class Population:
    """All users that ever joined, by number: traits, states, and the last day on which each was active."""

    traits: Traits
    states: States
    last_active: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.last_active)

    def join(self, count: int, day: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Add `count` users who sign up (and look around) on `day`; return their numbers."""
        first = len(self)
        self.traits = _appended(self.traits, _new_traits(count, day, rng))
        self.states = _appended(self.states, _new_states(count, rng))
        self.last_active = np.concatenate([self.last_active, np.full(count, day, np.int32)])
        return np.arange(first, first + count)


def empty() -> Population:
    """Return a business without users."""
    none = np.empty(0, np.int8)
    numbers: Array = np.empty(0)
    return Population(Traits(none, none, numbers, numbers), States(none, none, none, none), np.empty(0, np.int32))


def moved(law: DayLaw, traits: Traits, now: States, day: int, rng: np.random.Generator) -> States:
    """Draw everybody's state of the next day."""
    drawn = rng.random((4, len(now.plan)))
    row = (traits.habit, now.engagement, now.plan, now.billing, now.mood)
    due = traits.due(day).astype(np.int8)
    return States(
        engagement=_drawn(law.engagement, row, now.engagement, drawn[0]),
        plan=_drawn(law.plan, (now.engagement, now.plan), now.plan, drawn[1]),
        billing=_drawn(law.billing, (due, now.engagement, now.plan, now.billing), now.billing, drawn[2]),
        mood=_drawn(law.mood, (now.engagement, now.billing, now.mood), now.mood, drawn[3]),
    )


def _drawn(chances: Array, row: tuple[Codes, ...], now: Codes, drawn: Array) -> Codes:
    """Draw from the row of each user; most stay, so only those who move pay for the search."""
    stays = np.take_along_axis(chances, _own_column(chances), axis=-1)[..., 0]
    flat = np.ravel_multi_index(row, stays.shape)
    movers = np.flatnonzero(drawn >= stays.reshape(-1)[flat])
    leaving = chances.copy()
    np.put_along_axis(leaving, _own_column(chances), 0.0, axis=-1)
    bounds = (stays[..., None] + leaving.cumsum(axis=-1)).reshape(-1, chances.shape[-1])
    found = (drawn[movers, None] >= bounds[flat[movers], :-1]).sum(axis=1)
    after = now.copy()
    after[movers] = found
    return after


def _own_column(chances: Array) -> NDArray[np.intp]:
    """Return for each row the column that means staying: the table's own axis of the quantity that moves."""
    own = OWN_AXIS[chances.ndim]
    shape = [1] * chances.ndim
    shape[own] = chances.shape[own]
    column = np.arange(chances.shape[own]).reshape(shape)
    return np.broadcast_to(column, (*chances.shape[:-1], 1))


# Where the quantity that moves stands among a table's axes, by the number of axes: engagement, billing, mood, plan.
OWN_AXIS = {6: 1, 5: 3, 4: 2, 3: 1}


def _new_traits(count: int, day: int, rng: np.random.Generator) -> Traits:
    # The first charge is due on the day of the sign-up, the next one a cycle later.
    return Traits(
        habit=rng.choice(len(HABIT_SHARES), count, p=HABIT_SHARES).astype(np.int8),
        cycle=np.full(count, -day % BILLING_CYCLE_DAYS, np.int8),
        ability=rng.normal(ABILITY_MEAN, ABILITY_SPREAD, count),
        pace=rng.lognormal(0.0, PACE_SPREAD, count),
    )


def _new_states(count: int, rng: np.random.Generator) -> States:
    keen = rng.random(count) < STARTS_KEEN
    return States(
        engagement=np.where(keen, KEEN, STEADY).astype(np.int8),
        plan=rng.choice(len(PLAN_SHARES), count, p=PLAN_SHARES).astype(np.int8),
        billing=np.full(count, GOOD, np.int8),
        mood=np.zeros(count, np.int8),
    )


def initial_chances() -> Array:
    """Return the chances of habit and of engagement with mood when a user signs up: [H, E * M]."""
    chances = np.zeros((len(HABIT_SHARES), len(ENGAGEMENTS), 2))
    chances[:, KEEN, CONTENT] = HABIT_SHARES * STARTS_KEEN
    chances[:, STEADY, CONTENT] = HABIT_SHARES * (1 - STARTS_KEEN)
    return chances.reshape(len(HABIT_SHARES), -1)


def _appended(one: Columns, more: Columns) -> Columns:
    parts = {f.name: np.concatenate([getattr(one, f.name), getattr(more, f.name)]) for f in fields(one)}
    return type(one)(**parts)
