"""Probabilities are judged by what is true, and again by what became of the users."""

import math

import numpy as np
import pytest

from compose.simulation.judging import Midnight, expected_loss, realised_loss

MIDNIGHT = Midnight(
    7,
    users=np.array([0, 3]),
    truth=np.array([0.5, 0.1]),
    live=np.array([0.5, 0.2]),
    never=np.array([0.9, 0.2]),
)


def test_the_expected_loss_is_the_cross_entropy_of_the_true_probability() -> None:
    assert expected_loss(np.array([0.1]), np.array([0.2])) == pytest.approx(
        -(0.1 * math.log(0.2) + 0.9 * math.log(0.8))
    )


def test_the_oracle_is_at_distance_zero_and_everybody_else_farther_away() -> None:
    judged = MIDNIGHT.judged()
    assert judged.distance == pytest.approx(0.018345, abs=1e-6)
    assert judged.never_distance == pytest.approx(0.273758, abs=1e-6)
    assert judged.oracle == pytest.approx((math.log(2) + 0.325083) / 2, abs=1e-6)


def test_what_became_of_the_users_is_judged_when_the_horizon_has_passed() -> None:
    judged = MIDNIGHT.judged(still_active=np.array([True, True, True, False, True]))
    assert math.isnan(MIDNIGHT.judged().realised_live)
    # User 0 is still there, user 3 is gone.
    assert judged.realised_live == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)
    assert judged.realised_never == pytest.approx(-(math.log(0.1) + math.log(0.2)) / 2)


def test_a_certain_answer_that_is_wrong_costs_much_but_not_everything() -> None:
    assert realised_loss(np.array([True]), np.array([0.0])) == pytest.approx(34.54, abs=0.01)


def test_what_was_not_heard_is_not_judged() -> None:
    assert math.isnan(expected_loss(np.array([0.1, 0.2]), np.array([0.1, math.nan])))
