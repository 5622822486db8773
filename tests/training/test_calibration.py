"""A slope and a shift make probabilities mean what they say, where that helps."""

import numpy as np
import pytest

from churn.evaluation import log_loss
from training.calibration import AS_IT_IS, Recalibration, mean_loss, over_folds, recalibration
from training.rows import Fold, Rows, expit


def test_overconfident_log_odds_are_brought_back() -> None:
    random = np.random.default_rng(3)
    truth = random.normal(-1, 1, 40_000)
    churned = random.random(40_000) < 1 / (1 + np.exp(-truth))
    found = recalibration(2 * truth + 1, churned)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.shift == pytest.approx(-0.5, abs=0.05)


def test_calibrated_log_odds_are_left_alone() -> None:
    random = np.random.default_rng(4)
    truth = random.normal(-1, 1, 20_000)
    churned = random.random(20_000) < 1 / (1 + np.exp(-truth))
    assert recalibration(truth, churned) == AS_IT_IS


def test_one_class_alone_recalibrates_nothing() -> None:
    assert recalibration(np.zeros(10), np.zeros(10, np.bool_)) == AS_IT_IS


def test_folds_are_recalibrated_together() -> None:
    random = np.random.default_rng(5)
    truth = random.normal(-1, 1, 20_000)
    churned = random.random(20_000) < expit(truth)
    late = Rows(np.zeros((20_000, 1), np.float32), churned, np.zeros(20_000, np.int32))
    folds = [
        Fold(late, late.take(slice(0, 10_000)), "later days"),
        Fold(late, late.take(slice(10_000, None)), "other users"),
    ]
    said = [2 * truth[:10_000], 2 * truth[10_000:]]
    by = over_folds(folds, said)
    assert by.slope == pytest.approx(0.5, abs=0.05)
    assert mean_loss(folds, said, by) == pytest.approx(log_loss(churned, expit(by.of(2 * truth))), abs=1e-12)
    assert over_folds([], []) == Recalibration(1.0, 0.0)
