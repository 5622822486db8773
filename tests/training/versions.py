"""Registered versions of a model of one feature."""

import msgspec

from churn.model import GoldenRow, LogisticModel
from training.registry import Registry

MODEL = LogisticModel("churn", "abc", ["a"], [0.0], [1.0], [1.0], [0.0], [0.0], 0.0, [GoldenRow([0.0], 0.5)], {})


def registered(registry: Registry, intercept: float = 0.0) -> str:
    """Register a version of this intercept."""
    half = 0.5 if intercept == 0 else 1 / (1 + 2.718281828459045**-intercept)
    model = msgspec.structs.replace(MODEL, intercept=intercept, golden=[GoldenRow([0.0], half)])
    return registry.register(
        model, {"strength": 0.1}, {"auc": 0.8}, {"data_from": "2026-01-01"}, {"report.txt": "fine"}
    )
