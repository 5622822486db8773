"""A plan says what a training learns from, and its words say the same to `churn train`."""

import numpy as np
import pytest

from churn.errors import InputError
from compose.model_commands import plan_of, train
from training.plan import Plan, reserved, retraining
from training.rows import hashes_of

USERS = [f"user-{n}" for n in range(20_000)]


@pytest.mark.parametrize(
    "plan",
    [Plan(), retraining("online, boosted"), Plan("users", 9, ("online", "logistic")), Plan("later", cohorts=True)],
)
def test_its_words_are_options_that_give_the_plan_back(plan: Plan) -> None:
    assert plan_of(train.make_context("train", list(plan.words)).params) == plan


def test_a_quarter_of_all_users_is_reserved_whoever_else_is_there() -> None:
    kept = reserved(USERS)
    assert 0.24 < kept.mean() < 0.26
    assert reserved(USERS[7000:7010]).tolist() == kept[7000:7010].tolist()
    # The very users of every training so far: with others reserved, what serves would know those that it is judged on.
    assert np.flatnonzero(kept)[:5].tolist() == [1, 5, 8, 10, 26]


def test_reserved_users_are_alike_in_both_halves_of_the_folds() -> None:
    first_half = hashes_of(USERS) & np.uint64(1) == 1
    assert abs(reserved(USERS)[first_half].mean() - 0.25) < 0.02


def test_a_candidate_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no candidate is called forest; choose of logistic, boosted, online"):
        Plan(candidates=("logistic", "forest"))
