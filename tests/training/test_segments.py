"""Segments follow from the declaration, whatever the business."""

from pathlib import Path

import numpy as np

from churn.declaration import Declaration
from feature_repo.declared import load
from training.segments import measured, segments, worst

DECLARATIONS = Path(__file__).resolve().parents[2] / "feature_repo" / "declarations"


def rows(declaration: Declaration, **columns: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return vectors of zeros but for the given columns."""
    matrix = np.zeros((len(next(iter(columns.values()))), len(declaration.features)), np.float32)
    for name, values in columns.items():
        matrix[:, declaration.feature_names.index(name)] = values
    return matrix


def test_registers_tenure_and_activity_become_segments(elearning: Declaration) -> None:
    found = segments(
        elearning, rows(elearning, plan_pro=[1, 0], days_since_signup=[12, np.nan], active_days_30d=[12, 4])
    )
    assert {name: labels.tolist() for name, labels in found.items()} == {
        "plan": ["pro", "other"],
        "payment standing": ["other", "other"],
        "subscription": ["other", "other"],
        "tenure": ["under 30 days", "unknown"],
        "activity": ["high, from 12 on", "low, up to 4 of 30 days"],
    }


def test_a_business_without_registers_has_tenure_and_activity() -> None:
    shop = load(DECLARATIONS / "purchases.yaml")
    found = segments(shop, rows(shop, days_since_first_purchase=[29, 30, 179, 180]))
    assert list(found) == ["tenure", "activity"]
    assert found["tenure"].tolist() == ["under 30 days", "30 to 179 days", "30 to 179 days", "180 days and more"]


def test_the_worst_segment_is_the_one_in_which_a_constant_does_nearly_as_well() -> None:
    churned = np.tile([True, False, False, False], 50)
    kinds = np.repeat(["known", "unknown"], 100)
    probability = np.where(kinds == "known", np.where(churned, 0.9, 0.05), 0.25)
    found = measured(churned, probability, {"kind": kinds})
    bad = worst(found, 50, 10)
    assert bad is not None
    assert (bad.value, bad.rows, bad.against_constant, bad.auc) == ("unknown", 100, 1.0, 0.5)


def test_small_segments_are_not_called_the_worst() -> None:
    churned, probability = np.array([True, False] * 10), np.full(20, 0.5)
    assert worst(measured(churned, probability, {"kind": np.repeat(["a"], 20)}), 50, 10) is None
