"""Boosted trees and the tables that are served are the same function; contributions are those of the shap package."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import shap

from churn.declaration import Declaration
from churn.evaluation import log_loss
from churn.model import Scorer
from tests.training.grown import NAMES, SMALL, digest, exported, fitted, rows
from training.binning import as_inputs, codes_of
from training.boosting import boost, export, monotone_of, recalibrated
from training.calibration import Recalibration


def test_served_tables_equal_lightgbm_on_users_it_never_saw() -> None:
    data, fresh = rows(4000), rows(4000, 1)
    found = fitted(data)
    assert (
        np.abs(
            Scorer(exported(found, data), "1").score(fresh.matrix).probability - found.probability(fresh.matrix)
        ).max()
        < 1e-9
    )


def test_contributions_equal_shap() -> None:
    data, fresh = rows(4000), rows(200, 1)
    found = fitted(data)
    background = data.take(slice(0, 100))
    model = export(found, "m", "f" * 12, NAMES, background.matrix, data.matrix[:500], {})
    explainer = shap.TreeExplainer(
        found.booster,
        as_inputs(codes_of(background.matrix, found.edges), found.edges),
        feature_perturbation="interventional",
    )
    expected = explainer.shap_values(as_inputs(codes_of(fresh.matrix, found.edges), found.edges))
    assert np.abs(Scorer(model, "1").score(fresh.matrix).contributions - expected).max() < 1e-6
    assert model.base == pytest.approx(float(explainer.expected_value), abs=1e-6)


def test_base_and_contributions_are_the_recalibrated_raw_prediction() -> None:
    data = rows(4000)
    plain = fitted(data)
    found = recalibrated(plain, Recalibration(0.8, -0.3))
    scored = Scorer(exported(found, data), "1").score(data.matrix)
    raw = plain.booster.predict(as_inputs(codes_of(data.matrix, plain.edges), plain.edges), raw_score=True)
    assert np.abs(scored.base + scored.contributions.sum(axis=1) - (0.8 * np.asarray(raw) - 0.3)).max() < 1e-9


def test_golden_rows_hold_what_lightgbm_says() -> None:
    data = rows(2000)
    model = exported(fitted(data), data)
    Scorer(model, "1").verify()
    assert len(model.golden) == 8
    assert model.golden[-1].values == [None] * 5
    assert len(model.golden[0].contributions) == 5


def test_only_the_pairs_that_are_allowed_are_joined() -> None:
    data = rows(4000)
    found = boost(data, SMALL, [0] * 5, pairs=[(0, 1), (1, 3)])
    assert set(found.tables.pairs) <= {(0, 1), (1, 3)}
    assert fitted(data).best_pairs(data.matrix, 1) == [(0, 1)]


def test_each_tree_is_judged_by_later_rows() -> None:
    data, later = rows(1600), rows(1600, 5)
    found = boost(data, SMALL, [0] * 5, later)
    assert len(found.losses) == found.trees == 80
    first = replace(found, trees=10)
    assert log_loss(later.churned, first.probability(later.matrix)) == pytest.approx(found.losses[9], abs=1e-6)
    assert len(first.grown) == 10


def test_a_constraint_keeps_the_risk_from_falling() -> None:
    data = rows(4000)
    sweep = np.repeat(data.matrix[:1], 30, axis=0)
    sweep[:, 0] = np.arange(30)
    free, held = (fitted(data, m).log_odds(sweep) for m in ([0] * 5, [1, 0, 0, 0, 0]))
    assert (np.diff(free) < 0).any()
    assert (np.diff(held) >= 0).all()


def test_more_silence_is_constrained_by_what_it_counts(elearning: Declaration) -> None:
    constrained = [n for n, sign in zip(elearning.feature_names, monotone_of(elearning), strict=True) if sign]
    assert constrained == ["days_since_last_activity", "silence_to_mean", "silence_to_longest", "silence_surprise"]


def test_the_same_rows_give_the_same_bytes_in_another_process() -> None:
    code = "from tests.training.grown import digest; print(digest())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert other.stdout.strip() == digest()
