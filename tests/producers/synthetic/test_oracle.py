from datetime import date, timedelta

import numpy as np
import pytest

from producers.synthetic import emission, population
from producers.synthetic.drift import Drift, conditions
from producers.synthetic.law import (
    AGGRIEVED,
    BASIC,
    CANCELLED,
    CONTENT,
    DORMANT,
    FAILING,
    FREE,
    GOOD,
    LOST,
    PRO,
    STATES,
    STEADY,
    WEARY,
    DayLaw,
    day_law,
)
from producers.synthetic.oracle import Oracle
from producers.synthetic.population import Population, States, Traits

START = date(2026, 2, 2)
HARD_TIMES = (Drift("price-rise", START + timedelta(days=5)), Drift("payment-outage", START + timedelta(days=8)))
USERS = 20_000


def law_of(day: int) -> DayLaw:
    at = START + timedelta(days=day)
    return day_law(at, conditions(HARD_TIMES, at))


def alike(habit: int, cycle: int, state: tuple[int, int, int, int]) -> Population:
    """Return USERS users of one kind in one state."""
    codes = [np.full(USERS, code, np.int8) for code in (habit, cycle, *state)]
    traits = Traits(codes[0], codes[1], np.full(USERS, 70.0), np.ones(USERS))
    return Population(traits, States(codes[2], codes[3], codes[4], codes[5]), np.zeros(USERS, np.int32))


def silent_share(people: Population, days: int) -> float:
    """Simulate and return the share of users without any activity."""
    rng = np.random.default_rng(20260202)
    silent = np.ones(USERS, bool)
    for day in range(days):
        silent[emission.active(law_of(day), people, rng).users] = False
        people.states = population.moved(law_of(day), people.traits, people.states, day, rng)
    return float(silent.mean())


@pytest.mark.parametrize(
    ("habit", "cycle", "state"),
    [
        (0, 3, (STEADY, FREE, GOOD, CONTENT)),
        (0, 22, (WEARY, BASIC, GOOD, AGGRIEVED)),
        (1, 20, (WEARY, PRO, FAILING, AGGRIEVED)),
        (3, 22, (LOST, FREE, GOOD, CONTENT)),
        (2, 0, (DORMANT, BASIC, FAILING, CONTENT)),
        (1, 9, (CANCELLED, PRO, GOOD, CONTENT)),
    ],
)
def test_the_truth_is_the_frequency_of_silence(habit: int, cycle: int, state: tuple[int, int, int, int]) -> None:
    people = alike(habit, cycle, state)
    truth = Oracle(law_of).churn_probability(0)[habit, people.states.index()[0], cycle]
    standard_error = np.sqrt(truth * (1 - truth) / USERS)
    assert silent_share(people, 30) == pytest.approx(truth, abs=4 * standard_error)


def test_one_day_ahead_is_the_chance_of_a_silent_day() -> None:
    truth = Oracle(law_of, horizon_days=1).churn_probability(7)
    quiet = np.repeat(1 - law_of(7).active, STATES // 8, axis=1)
    np.testing.assert_allclose(truth, np.repeat(quiet[:, :, None], 30, axis=2), rtol=1e-12)


def test_two_days_ahead_by_hand() -> None:
    truth = Oracle(law_of, horizon_days=2).churn_probability(0)
    quiet = [np.repeat(1 - law_of(day).active, STATES // 8, axis=1) for day in (0, 1)]
    # On day 0 the charge of cycle 0 is due, that of cycle 1 is not.
    for cycle, due in ((0, 1), (1, 0)):
        expected = quiet[0] * np.einsum("hst,ht->hs", law_of(0).joint()[:, due], quiet[1])
        np.testing.assert_allclose(truth[:, :, cycle], expected, rtol=1e-12)


def test_no_truth_leaves_0_to_1() -> None:
    truth = Oracle(law_of).churn_probability(0)
    assert truth.min() > 0
    assert truth.max() <= 1


def test_days_in_turn_give_what_each_gives_alone() -> None:
    oracle = Oracle(law_of)
    in_turn = [oracle.churn_probability(day) for day in range(3)]
    np.testing.assert_array_equal(in_turn[2], Oracle(law_of).churn_probability(2))
