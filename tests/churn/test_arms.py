import numpy as np

from churn.arms import arms, places
from training.delay_line import sample

USERS = [f"user-{number}" for number in range(10_000)]


def test_the_same_user_has_the_same_place_for_all_time() -> None:
    found = places(["u1", "u2", "Jürgen", ""]).tolist()
    assert found == [0.7997992072415684, 0.31606023304736053, 0.4958562740365269, 0.9895907137138574]


def test_a_growing_share_keeps_its_users() -> None:
    before, after = arms(USERS, [0.1]), arms(USERS, [0.25])
    assert set(np.flatnonzero(before == 0)) < set(np.flatnonzero(after == 0))


def test_a_share_in_the_end_takes_nobody_from_those_before_it() -> None:
    before, after = arms(USERS, [0.2]), arms(USERS, [0.2, 0.3])
    assert (before == 0).tolist() == (after == 0).tolist()


def test_shares_are_met_within_four_standard_deviations() -> None:
    shares = [0.1, 0.0, 0.3, 0.05]
    counts = np.bincount(arms(USERS, shares), minlength=5)
    for count, share in zip(counts.tolist(), [*shares, 0.55], strict=True):
        assert abs(count - share * 10_000) <= 4 * (10_000 * share * (1 - share)) ** 0.5


def test_all_the_users_are_a_share_too() -> None:
    assert arms(USERS, [0.0, 1.0]).tolist() == [1] * 10_000
    assert arms(USERS, [0.0]).tolist() == [1] * 10_000
    assert arms(USERS, []).tolist() == [0] * 10_000


def test_who_is_learnt_from_says_nothing_of_the_split() -> None:
    learnt = np.array([sample(0.5)(user) for user in USERS])
    chosen = arms(USERS, [0.5]) == 0
    assert abs((learnt & chosen).sum() - 2_500) <= 4 * (10_000 * 0.25 * 0.75) ** 0.5
