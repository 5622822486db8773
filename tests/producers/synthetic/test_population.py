from datetime import date

import numpy as np

from producers.synthetic import population
from producers.synthetic.drift import Conditions
from producers.synthetic.law import HABITS, STATES, day_law
from producers.synthetic.population import States, Traits

COPIES = 4000


def test_users_move_as_the_joint_law_says() -> None:
    law = day_law(date(2026, 1, 5), Conditions(payment_failure=0.5, price_anger=20.0))
    grid = np.indices((8, 3, 2, 2)).reshape(4, -1).astype(np.int8).repeat(COPIES, axis=1)
    count = grid.shape[1]
    traits = Traits(np.full(count, 1, np.int8), np.zeros(count, np.int8), np.zeros(count), np.zeros(count))
    now = States(*grid)
    after = population.moved(law, traits, now, 30, np.random.default_rng(5))
    seen = np.bincount(now.index() * STATES + after.index(), minlength=STATES**2).reshape(STATES, STATES)
    expected = law.joint()[1, 1] * COPIES
    assert (seen[expected == 0] == 0).all()
    # Chi-square over all moves that are to be expected at least 5 times: mean n, standard deviation sqrt(2 n).
    common = expected >= 5
    surprise = ((seen - expected)[common] ** 2 / expected[common]).sum()
    assert abs(surprise - common.sum()) < 6 * np.sqrt(2 * common.sum())


def test_new_users_are_appended_and_nobody_else_changes() -> None:
    people = population.empty()
    people.join(10, 0, np.random.default_rng(1))
    before = people.states.index()
    new = people.join(5, 3, np.random.default_rng(2))
    assert new.tolist() == [10, 11, 12, 13, 14]
    assert (people.states.index()[:10] == before).all()
    assert people.last_active.tolist() == [0] * 10 + [3] * 5


def test_the_first_charge_is_due_on_the_day_of_the_sign_up_and_then_every_30_days() -> None:
    people = population.empty()
    people.join(1, 17, np.random.default_rng(1))
    assert [day for day in range(17, 80) if people.traits.due(day)[0]] == [17, 47, 77]


def test_every_habit_occurs() -> None:
    people = population.empty()
    people.join(1000, 0, np.random.default_rng(1))
    assert set(people.traits.habit.tolist()) == set(range(len(HABITS)))
