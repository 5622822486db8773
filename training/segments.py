"""Kinds of users that a model must be right about, each by itself; read off the features that a declaration has.

Registers (a plan, a payment standing), tenure, and how active a user was; nothing is named for a business here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.declaration import ACTIVITY_COUNTER, Aggregate, Declaration, Feature
from churn.evaluation import CALIBRATION_BINS, Mask, auc, calibration_table, expected_calibration_error, log_loss
from churn.layout import Float64s, Floats

Labels = npt.NDArray[np.str_]
TENURE_DAYS = (30, 180)
ACTIVE_SHARES = (0.15, 0.4)
"""Of 30 days: low up to 4, middle up to 11, high from 12 on."""
OTHER = "other"


@dataclass(frozen=True)
class SegmentMeasures:
    """How good a model is in one segment.

    `against_constant` is the log loss over that of a constant that knows the segment's own churn rate: below 1 the model
    tells users of the segment apart. It and `auc` are None where one class is missing.
    """

    segment: str
    value: str
    rows: int
    churn_rate: float
    said: float
    auc: float | None
    log_loss: float
    against_constant: float | None
    ece: float


def segments(declaration: Declaration, matrix: Floats) -> dict[str, Labels]:
    """Return each row's segment by the segment's name, from float32 [rows, features] in the declaration's order."""
    columns = dict(zip(declaration.feature_names, matrix.T, strict=True))
    found: dict[str, Labels] = {}
    for name in declaration.registers:
        one_hot = [f for f in declaration.features if f.aggregate is Aggregate.IS and f.source == name]
        if one_hot:
            found[name.replace("_", " ")] = _register(one_hot, columns)
    if firsts := [f.name for f in declaration.features if f.aggregate is Aggregate.DAYS_SINCE_FIRST]:
        found["tenure"] = _tenure(np.fmax.reduce([columns[name] for name in firsts]))
    if active := _active_days(declaration):
        found["activity"] = _activity(columns[active.name], active.window_days)
    return found


def _register(one_hot: list[Feature], columns: Mapping[str, Floats]) -> Labels:
    held = [columns[feature.name] > 0 for feature in one_hot]
    return np.select(held, [feature.value for feature in one_hot], OTHER).astype(np.str_)


def _tenure(days: Floats) -> Labels:
    young, old = TENURE_DAYS
    names = [f"under {young} days", f"{young} to {old - 1} days", f"{old} days and more"]
    return np.select([np.isnan(days), days < young, days < old], ["unknown", *names[:2]], names[2]).astype(np.str_)


def _active_days(declaration: Declaration) -> Feature | None:
    """Return the feature that counts active days over the longest window."""
    counts = [f for f in declaration.features if f.aggregate is Aggregate.DAYS and f.source == ACTIVITY_COUNTER]
    return max(counts, key=lambda feature: feature.window_days, default=None)


def _activity(days: Floats, window_days: int) -> Labels:
    low, high = (int(share * window_days) for share in ACTIVE_SHARES)
    names = [f"low, up to {low} of {window_days} days", f"middle, up to {high - 1}", f"high, from {high} on"]
    return np.select([days <= low, days < high], names[:2], names[2]).astype(np.str_)


def measured(churned: Mask, probability: Float64s, found: Mapping[str, Labels]) -> tuple[SegmentMeasures, ...]:
    """Return the measures of every segment that has rows, in the order of names and values."""
    return tuple(
        _measured(name, str(value), churned[labels == value], probability[labels == value])
        for name, labels in found.items()
        for value in np.unique(labels)
    )


def _measured(name: str, value: str, churned: Mask, probability: Float64s) -> SegmentMeasures:
    rate, loss = float(churned.mean()), log_loss(churned, probability)
    both = 0.0 < rate < 1.0
    constant = log_loss(churned, np.full(len(churned), rate))
    ece = expected_calibration_error(calibration_table(churned, probability, CALIBRATION_BINS))
    return SegmentMeasures(
        name, value, len(churned), rate, float(probability.mean()),
        auc(churned, probability) if both else None, loss, loss / constant if both else None, ece,
    )  # fmt: skip


def worst(measures: tuple[SegmentMeasures, ...], min_rows: int, min_churned: int) -> SegmentMeasures | None:
    """Return the segment in which the model tells least over a constant; None when all are too small to say."""
    large = [m for m in measures if m.rows >= min_rows and m.rows * m.churn_rate >= min_churned]
    return max(large, key=lambda m: m.against_constant or 0.0, default=None)
