"""The logistic model's contributions are those of the shap package."""

import numpy as np
import shap

from churn.logistic import LogisticForm, LogisticModel, signed_log1p


def test_contributions_equal_shap() -> None:
    random = np.random.default_rng(0)
    matrix = random.poisson(4.0, (300, 3)).astype(np.float32)
    z = signed_log1p(matrix)
    mean, scale, weight = z.mean(axis=0), z.std(axis=0), np.array([1.0, -2.0, 0.5])
    flat = [0.0] * 3
    model = LogisticModel(
        "m", "abc", ["a", "b", "c"], mean.tolist(), scale.tolist(), weight.tolist(), flat, flat, -1.0, [], {}
    )
    inputs = (z - mean) / scale
    explainer = shap.LinearExplainer((weight, -1.0), shap.maskers.Independent(inputs, max_samples=300))
    got, _ = LogisticForm(model).parts(matrix)
    assert np.abs(got - explainer.shap_values(inputs)).max() < 1e-9
