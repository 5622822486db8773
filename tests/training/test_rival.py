"""The champion is judged on the online model's rows, except those that it was trained on."""

import math

import numpy as np
import pytest

from churn.model import LogisticModel, Scorer
from training.rival import Rival
from training.window import Window


def window() -> Window:
    """Return two rows of 1970-01-11 that churned, and two of 1970-01-21, one of which did."""
    rows = Window(1)
    zeros = np.zeros((2, 1), np.float32)
    rows.add(10, zeros, np.array([True, True]), np.array([0.5, 0.5]))
    rows.add(20, zeros, np.array([True, False]), np.array([0.5, 0.5]))
    return rows


def scorer(**trained: str) -> Scorer:
    """Return a model that says 0.8 of everyone."""
    return Scorer(LogisticModel("m", "v", ["a"], [0], [1], [0], [0], [0], math.log(4), [], dict(trained)), "1")


def test_no_champion_is_not_judged() -> None:
    assert math.isnan(Rival().judged(window()).log_loss)


def test_rows_that_the_champion_was_trained_on_are_left_out() -> None:
    rival = Rival()
    assert rival.meets(scorer(train_until="1970-01-11"))
    judged = rival.judged(window())
    assert judged.rows == 2
    assert judged.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2)
    assert judged.auc == 0.5


def test_a_champion_that_does_not_say_when_it_was_trained_is_judged_on_all() -> None:
    rival = Rival()
    rival.meets(scorer())
    assert rival.judged(window()).rows == 4


def test_a_champion_is_met_once() -> None:
    rival, serving = Rival(), scorer()
    assert [rival.meets(None), rival.meets(serving), rival.meets(serving), rival.meets(scorer())] == [
        False, True, False, True,
    ]  # fmt: skip
