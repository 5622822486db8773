"""What scikit-learn fits and what is served are the same function."""

import numpy as np
import pytest

from churn.evaluation import log_loss
from churn.model import LogisticModel, Scorer, decode, encode
from training.calibration import Recalibration
from training.logistic import Fitted, export, fit, scaling_of, search
from training.rows import Rows, expit, folds_of


def rows(count: int, seed: int = 0) -> Rows:
    """Return counts, of which the first drives churn; the third is constant, the fourth often missing."""
    random = np.random.default_rng(seed)
    matrix = random.poisson(3.0, (count, 4)).astype(np.float32)
    matrix[:, 2] = 5.0
    matrix[random.random(count) < 0.3, 3] = np.nan
    log_odds = 1.0 - 1.2 * np.log1p(matrix[:, 0]) + np.where(np.isnan(matrix[:, 3]), 0.7, 0.0)
    churned = random.random(count) < 1 / (1 + np.exp(-log_odds))
    return Rows(matrix, churned, np.repeat(np.arange(8, dtype=np.int32) * 10, count // 8))


def exported(fitted: Fitted, data: Rows) -> LogisticModel:
    """Return the fitted model as it is served, through its JSON."""
    made = export(fitted, "m", "f" * 12, ["a", "b", "c", "d"], data.matrix, {"rows": len(data)})
    read = decode(encode(made), "test")
    assert isinstance(read, LogisticModel)
    return read


def test_served_model_equals_scikit_learn() -> None:
    data = rows(4000)
    fitted = fit(data, 1.0)
    direct = fitted.regression.predict_proba(fitted.scaling.inputs(data.matrix))[:, 1]
    served = Scorer(exported(fitted, data), "1").score(data.matrix).probability
    assert np.abs(served - direct).max() < 1e-9


def test_golden_rows_verify_with_a_recalibrated_model() -> None:
    data = rows(2000)
    plain = fit(data, 1.0)
    model = exported(Fitted(plain.scaling, plain.regression, 1.0, Recalibration(0.8, -0.3)), data)
    Scorer(model, "1").verify()
    assert len(model.golden) == 8
    assert model.golden[-1].values == [None] * 4


def test_constant_and_missing_columns_get_scale_one() -> None:
    matrix = np.array([[5, np.nan, 0], [5, np.nan, 1]], np.float32)
    scaling = scaling_of(matrix)
    assert scaling.scale.tolist() == [1.0, 1.0, pytest.approx(np.log(2) / 2)]
    assert scaling.missing_rate.tolist() == [0.0, 1.0, 0.0]


def test_the_same_rows_give_the_same_bytes() -> None:
    data = rows(1600)
    assert encode(exported(fit(data, 0.1), data)) == encode(exported(fit(data, 0.1), data))


def test_without_room_for_folds_the_default_strength_is_taken() -> None:
    assert search([]) == (0.1, [])


def test_the_strength_is_that_which_foretells_later_days_best() -> None:
    data = rows(1600)
    folds = folds_of(data, 30)
    strength, said = search(folds)
    losses = [log_loss(fold.late.churned, expit(each)) for fold, each in zip(folds, said, strict=True)]
    other = [log_loss(f.late.churned, fit(f.early, 0.001).probability(f.late.matrix)) for f in folds]
    assert strength != 0.001
    assert sum(losses) < sum(other)
