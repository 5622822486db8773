"""The bounds of the guard, on literal scores."""

import numpy as np

from churn.layout import Float64s
from training.loop.guard import GuardPolicy, compared, violations


def spread(mean: float, count: int = 1000) -> Float64s:
    """Return different probabilities around a mean."""
    return np.linspace(0.5 * mean, 1.5 * mean, count)


def names(found: list[object]) -> list[str]:
    return [str(getattr(each, "name", "")) for each in found]


def test_a_model_that_differs_from_user_to_user_is_within_bounds() -> None:
    assert violations(spread(0.3), 0.3) == []
    assert compared(spread(0.3), spread(0.25)) == []


def test_the_same_answer_for_most_is_a_violation() -> None:
    mostly = np.where(np.arange(1000) < 501, 0.2, spread(0.3))
    (found,) = violations(mostly, 0.3)
    assert (found.name, found.seen, found.bound) == ("same", 0.501, 0.5)
    assert found.says == "50.1% of the users get the same score, at most 50% may"


def test_answers_that_hardly_differ_are_a_violation() -> None:
    assert names([*violations(np.linspace(0.300, 0.302, 1000), 0.3)]) == ["spread"]


def test_a_score_that_is_no_probability_is_a_violation() -> None:
    for wrong in (np.nan, -0.1, 1.1):
        scores = spread(0.3)
        scores[0] = wrong
        assert names([*violations(scores, 0.3)]) == ["unusable"]


def test_a_mean_beyond_a_factor_of_three_is_a_violation_in_both_directions() -> None:
    assert names([*violations(spread(0.6), 0.19)]) == ["mean"]
    assert names([*violations(spread(0.1), 0.31)]) == ["mean"]
    assert violations(spread(0.6), 0.21) == []


def test_an_order_of_users_that_is_lost_is_a_violation() -> None:
    (found,) = compared(spread(0.3)[::-1].copy(), spread(0.3))
    assert (found.name, round(found.seen, 6)) == ("rank", -1.0)


def test_a_former_champion_that_leaves_bounds_is_no_measure() -> None:
    assert compared(spread(0.6), np.full(1000, 0.1)) == []


def test_few_users_are_not_judged() -> None:
    assert violations(np.full(99, 0.5), 0.3) == []
    assert names([*violations(np.full(99, 0.5), 0.3, GuardPolicy(least_rows=50))]) == ["same", "spread"]
