"""The champion and the online model are judged on the same rows: those that the champion was not trained on."""

import math

import numpy as np
import pytest

from churn.model import LogisticModel, Scorer
from training.rival import Rival
from training.window import Window


def window() -> Window:
    """Return two rows of 1970-01-11 that churned, and two of 1970-01-21, one of which did; online said 0.6 of all."""
    rows = Window(1)
    zeros = np.zeros((2, 1), np.float32)
    rows.add(10, zeros, np.array([True, True]), np.array([0.6, 0.6]))
    rows.add(20, zeros, np.array([True, False]), np.array([0.6, 0.6]))
    return rows


def scorer(**trained: str) -> Scorer:
    """Return a model that says 0.8 of everyone."""
    return Scorer(LogisticModel("m", "v", ["a"], [0], [1], [0], [0], [0], math.log(4), [], dict(trained)), "1")


def test_without_a_champion_online_is_judged_alone() -> None:
    compared = Rival().compared(window())
    assert (compared.online.rows, compared.champion.rows) == (4, 0)
    assert compared.online.log_loss == pytest.approx(-(3 * math.log(0.6) + math.log(0.4)) / 4)
    assert math.isnan(compared.champion.log_loss)


def test_rows_that_the_champion_was_trained_on_are_left_out_for_both() -> None:
    rival = Rival()
    assert rival.meets(scorer(train_until="1970-01-11"))
    compared = rival.compared(window())
    assert (compared.online.rows, compared.champion.rows) == (2, 2)
    assert compared.online.log_loss == pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2)
    assert compared.champion.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2)
    assert compared.champion.calibration_error == pytest.approx(0.5)
    assert compared.champion.auc == 0.5


def test_a_champion_that_does_not_say_when_it_was_trained_is_judged_on_all() -> None:
    rival = Rival()
    rival.meets(scorer())
    assert rival.compared(window()).champion.rows == 4


def test_a_champion_is_met_once() -> None:
    rival, serving = Rival(), scorer()
    assert [rival.meets(None), rival.meets(serving), rival.meets(serving), rival.meets(scorer())] == [
        False, True, False, True,
    ]  # fmt: skip
