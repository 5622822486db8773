"""The invented e-learning business, day after day: the same scenario gives the same days, to the byte."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count

import numpy as np
from numpy.typing import NDArray

from churn.errors import SettingsError
from producers.synthetic import emission, population
from producers.synthetic.drift import Conditions, Drift, conditions
from producers.synthetic.emission import Events
from producers.synthetic.law import DayLaw, day_law
from producers.synthetic.noise import Noise
from producers.synthetic.observer import Observer
from producers.synthetic.oracle import HORIZON_DAYS, Oracle
from producers.synthetic.population import NEVER, Population

# The business is older than its records, so that the first day already has users in every state.
BURN_IN_DAYS = 120
JOINED_BEFORE = 0.6
JOIN, ACT, MOVE, SHOW, BOTS, TAKE = range(6)


@dataclass(frozen=True)
class Scenario:
    """What to simulate: `users` who have joined by the end of `days` days from `start` on (60 % of them before `start`).

    The history ends with midnight after its last day, the business goes on beyond it. `drifts` change its law, `noise`
    only what is published.
    """

    users: int = 5000
    days: int = 150
    seed: int = 1
    start: date = date(2026, 1, 5)
    drifts: tuple[Drift, ...] = ()
    noise: Noise = field(default_factory=Noise)

    def __post_init__(self) -> None:
        if self.users < 1 or self.days < 1 or self.seed < 0:
            raise SettingsError(f"users and days must be at least 1 and seed at least 0: {self}")

    @classmethod
    def ending(
        cls,
        end: datetime,
        *,
        users: int = 5000,
        days: int = 150,
        seed: int = 1,
        drifts: tuple[Drift, ...] = (),
        noise: Noise | None = None,
    ) -> "Scenario":
        """Return the scenario whose history has `days` whole days before the day of `end`."""
        start = end.astimezone(UTC).date() - timedelta(days=days)
        return cls(users, days, seed, start, drifts, noise or Noise())

    @property
    def tag(self) -> str:
        """Return 8 hex digits that tell this business from any other; part of every event_id.

        Noise is left out: it does not change what happens, so the events keep their ids.
        """
        told = repr((self.users, self.days, self.seed, self.start, self.drifts))
        return hashlib.sha256(told.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Truth:
    """What is true of every user at the midnight that starts a day; row i is user number i.

    `churn_probability` is given the hidden state; `observable_churn_probability` is all that the events published until
    then can tell of it, None when they were not followed from the first day on.
    """

    churn_probability: NDArray[np.float64]
    observable_churn_probability: NDArray[np.float64] | None
    active_last_30d: NDArray[np.bool_]
    habit: NDArray[np.int8]
    engagement: NDArray[np.int8]
    plan: NDArray[np.int8]
    billing: NDArray[np.int8]
    mood: NDArray[np.int8]


@dataclass(frozen=True)
class Day:
    """One day: its number (0 is the scenario's start), its events in the order of time, the truth at its first midnight."""

    number: int
    date: date
    events: Events
    truth: Truth | None

    @property
    def midnight(self) -> datetime:
        """Return the first instant of the day, UTC."""
        return datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)


class SyntheticBusiness:
    """Simulate the business of a scenario. Holds nothing that changes: every iteration starts from the seed."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def days(self, truth: bool = True) -> Iterator[Day]:
        """Yield the days of the history."""
        for day in self.days_from(0, truth):
            if day.number >= self.scenario.days:
                return
            yield day

    def days_from(self, first: int, truth: bool = True) -> Iterator[Day]:
        """Yield day number `first` and every later one, without end; `truth=False` leaves oracle and observer out.

        The observer has to follow the events from day 0 on, so it takes part only when `first` is 0.
        """
        for day, _ in self.days_with_people(first, truth):
            yield day

    def days_with_people(
        self, first: int, truth: bool = True, *, observed: bool = True
    ) -> Iterator[tuple[Day, Population]]:
        """Yield every day from `first` on with the users as they were at its first midnight.

        `observed=False` leaves the observer out alone: it takes 0.1 s a day of 5,000 users, the oracle 13 ms.
        """
        oracle, people = Oracle(self.law), population.empty()
        followed = truth and observed and first == 0
        observer = Observer(self.law, self.conditions, BURN_IN_DAYS) if followed else None
        for number in count(-BURN_IN_DAYS):
            if number == 0:
                # Only what is published can be known: activity before the records does not count.
                people.last_active[:] = NEVER
            known = _truth(oracle, observer, people, number) if truth and number >= first else None
            at_midnight = Population(people.traits, people.states, people.last_active)
            pieces = self._advance(people, number, seen=number >= first)
            if number >= first:
                day = Day(number, self.date(number), emission.in_order(pieces), known)
                yield day, at_midnight
                if observer:
                    observer.see(day.events)

    def takes(self, day: Day, at_midnight: Population) -> Iterator[Events]:
        """Yield, without end, other ways in which the visits of `day` could have gone, from the same hidden states."""
        held, law = self.conditions(day.number), self.law(day.number)
        for take in count():
            rng = self._rng(day.number, TAKE, take)
            who = emission.active(law, at_midnight, rng)
            yield emission.in_order(emission.activity(who, at_midnight, held, rng))

    def date(self, number: int) -> date:
        """Return the date of a day by its number."""
        return self.scenario.start + timedelta(days=number)

    def conditions(self, number: int) -> Conditions:
        """Return what holds on a day by its number."""
        return conditions(self.scenario.drifts, self.date(number))

    def law(self, number: int) -> DayLaw:
        """Return the law of a day by its number."""
        return day_law(self.date(number), self.conditions(number))

    def _advance(self, people: Population, number: int, seen: bool) -> list[Events]:
        """Live one day: who is active, everybody's next state, new users; return the events if they are to be `seen`.

        Every step has random numbers of its own, so that days which nobody looks at cost a tenth and change nothing.
        """
        law, before = self.law(number), Population(people.traits, people.states, people.last_active)
        act = self._rng(number, ACT)
        who = emission.active(law, people, act)
        people.last_active = people.last_active.copy()
        people.last_active[who.users] = number
        people.states = population.moved(law, people.traits, people.states, number, self._rng(number, MOVE))
        after, join = people.states, self._rng(number, JOIN)
        new = people.join(self._joined(number) - self._joined(number - 1), number, join)
        if not seen:
            return []
        held = self.conditions(number)
        return [
            *emission.activity(who, before, held, act),
            *emission.business(before, after, number, held, self._rng(number, SHOW)),
            *emission.bots(len(before), held, self._rng(number, BOTS)),
            *emission.joining(new, people.states.plan[new], join),
        ]

    def _joined(self, number: int) -> int:
        """Return how many users have joined by the end of a day: an even pace before the start, another one after."""
        users, before = self.scenario.users, round(self.scenario.users * JOINED_BEFORE)
        if number < 0:
            return before * (number + BURN_IN_DAYS + 1) // BURN_IN_DAYS
        return before + (users - before) * (number + 1) // self.scenario.days

    def _rng(self, number: int, purpose: int, take: int = 0) -> np.random.Generator:
        """Return a stream of its own for every day and purpose: no draw shifts another one."""
        return np.random.default_rng([self.scenario.seed, number + BURN_IN_DAYS, purpose, take])


def _truth(oracle: Oracle, observer: Observer | None, people: Population, number: int) -> Truth:
    states, traits = people.states, people.traits
    chances = oracle.churn_probability(number)
    return Truth(
        churn_probability=chances[traits.habit, states.index(), traits.cycle],
        observable_churn_probability=observer.probabilities(chances, len(people)) if observer else None,
        active_last_30d=people.last_active >= number - HORIZON_DAYS,
        habit=traits.habit,
        engagement=states.engagement,
        plan=states.plan,
        billing=states.billing,
        mood=states.mood,
    )
