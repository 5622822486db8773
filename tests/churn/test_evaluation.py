"""Measures of probabilities, on values worked out by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from churn.errors import InputError
from churn.evaluation import auc, calibration_table, evaluate, lift, log_loss

CHURNED = np.array([True, False, True, False, False])
PROBABILITY = np.array([0.9, 0.8, 0.4, 0.3, 0.1])


def test_five_users_by_hand() -> None:
    got = evaluate(CHURNED, PROBABILITY, 0.5)
    assert (got.rows, got.positive_rate) == (5, 0.4)
    assert got.auc == pytest.approx(5 / 6)
    assert got.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert got.brier == pytest.approx((0.01 + 0.64 + 0.36 + 0.09 + 0.01) / 5)
    assert (got.accuracy, got.precision, got.recall) == (0.6, 0.5, 0.5)
    assert got.lift_at_10_percent == 2.5


@pytest.mark.parametrize("digits", [1, 9])
def test_measures_equal_those_of_scikit_learn(digits: int) -> None:
    random = np.random.default_rng(7)
    probability = np.round(random.random(3000), digits)
    churned = random.random(3000) < probability**2
    got = evaluate(churned, probability, 0.4)
    called = probability >= 0.4
    assert got.auc == pytest.approx(metrics.roc_auc_score(churned, probability), abs=1e-12)
    assert got.average_precision == pytest.approx(metrics.average_precision_score(churned, probability), abs=1e-12)
    assert got.brier == pytest.approx(metrics.brier_score_loss(churned, probability), abs=1e-12)
    assert got.accuracy == metrics.accuracy_score(churned, called)
    assert got.precision == metrics.precision_score(churned, called)
    assert got.recall == metrics.recall_score(churned, called)


def test_log_loss_equals_that_of_scikit_learn() -> None:
    random = np.random.default_rng(8)
    probability, churned = random.uniform(0.01, 0.99, 500), random.random(500) < 0.3
    assert log_loss(churned, probability) == pytest.approx(metrics.log_loss(churned, probability), abs=1e-12)


def test_certain_and_wrong_costs_a_finite_loss() -> None:
    assert log_loss(np.array([True]), np.array([0.0])) == pytest.approx(34.538776)


def test_equal_probabilities_rank_nobody() -> None:
    assert auc(CHURNED, np.full(5, 0.3)) == 0.5


def test_calibration_bins_hold_equal_numbers_of_users() -> None:
    table = calibration_table(CHURNED, PROBABILITY, bins=2)
    assert [part.users for part in table] == [3, 2]
    assert [part.predicted for part in table] == pytest.approx([0.8 / 3, 0.85])
    assert [part.observed for part in table] == pytest.approx([1 / 3, 0.5])


def test_lift_of_a_perfect_top_is_one_over_the_rate() -> None:
    churned = np.arange(100) >= 90
    assert lift(churned, np.linspace(0, 1, 100), 0.1) == pytest.approx(10.0)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(InputError, match="0 churned users"):
        evaluate(np.zeros(4, bool), np.full(4, 0.2), 0.5)
