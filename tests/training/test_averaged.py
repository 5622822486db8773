"""Halfway from a champion to a new model."""

import msgspec
import numpy as np
import pytest

from churn.layout import Float64s, Floats
from churn.model import AdditiveModel, LogisticModel, Scorer
from training.averaged import averaged, rescaled

RNG = np.random.default_rng(4)
EXAMPLES = np.where(RNG.random((200, 3)) < 0.2, np.nan, RNG.normal(0, 20, (200, 3))).astype(np.float32)
NEW = LogisticModel(
    "churn", "abc", ["a", "b", "c"], [0.5, -1.0, 2.0], [1.0, 2.0, 0.5], [0.3, -0.7, 1.1], [0.2, 0.0, -0.4],
    [0.1, 0.0, 0.3], -1.5, [], {"candidate": "logistic", "train_until": "2026-05-01"},
)  # fmt: skip
CHAMPION = LogisticModel(
    "churn", "abc", ["a", "b", "c"], [0.1, 1.0, 1.5], [2.0, 0.3, 1.5], [-0.2, 0.4, 0.9], [0.0, 0.6, 0.1],
    [0.0, 0.2, 0.5], 0.4, [], {"candidate": "logistic", "train_until": "2026-04-01"},
)  # fmt: skip


def log_odds(model: LogisticModel, matrix: Floats) -> Float64s:
    """Return what a model says."""
    scored = Scorer(model, "").score(matrix)
    return np.asarray(scored.base + scored.contributions.sum(axis=1))


def test_a_rescaled_model_says_the_same_of_present_and_of_missing_values() -> None:
    moved = rescaled(CHAMPION, NEW)
    assert (moved.mean, moved.scale, moved.missing_rate) == (NEW.mean, NEW.scale, NEW.missing_rate)
    assert log_odds(moved, EXAMPLES) == pytest.approx(log_odds(CHAMPION, EXAMPLES), abs=1e-12)


def test_the_average_says_the_mean_of_both_in_log_odds() -> None:
    half = averaged(NEW, CHAMPION, "7", EXAMPLES)
    assert half is not None
    both = (log_odds(NEW, EXAMPLES) + log_odds(CHAMPION, EXAMPLES)) / 2
    assert log_odds(half, EXAMPLES) == pytest.approx(both, abs=1e-12)
    assert len(half.golden) == 8
    Scorer(half, "8").verify()


def test_the_average_knows_what_the_new_model_knows_and_names_the_champion() -> None:
    half = averaged(NEW, CHAMPION, "7", EXAMPLES)
    assert half is not None
    assert half.trained == {"candidate": "averaged", "train_until": "2026-05-01", "averaged_with": "7"}


def test_models_of_tables_have_no_average() -> None:
    tables = AdditiveModel("churn", "abc", ["a", "b", "c"], [[], [], []], [], [], 0.0, [], {})
    assert averaged(tables, CHAMPION, "7", EXAMPLES) is None
    assert averaged(NEW, tables, "7", EXAMPLES) is None


def test_golden_rows_catch_an_average_that_was_tampered_with() -> None:
    half = averaged(NEW, CHAMPION, "7", EXAMPLES)
    assert half is not None
    with pytest.raises(Exception, match="golden row"):
        Scorer(msgspec.structs.replace(half, intercept=half.intercept + 0.01), "8").verify()
