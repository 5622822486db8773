"""How good probabilities are: ranking, calibration and decisions, in numpy.

Labels are booleans (True: churned), probabilities float64; both of one length, at least one of each class where a rank is asked for.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.errors import InputError
from churn.layout import Float64s

CLIP = 1e-15
"""Log loss stays finite when a model is certain and wrong."""
CALIBRATION_BINS = 10
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CalibrationBin:
    """Users of similar probability: how many, what was said on average, what happened."""

    users: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Evaluation:
    """Measures of one model on one set of rows; `ece` is the expected calibration error over ten bins of equal size."""

    rows: int
    positive_rate: float
    auc: float
    average_precision: float
    log_loss: float
    brier: float
    ece: float
    lift_at_10_percent: float
    threshold: float
    accuracy: float
    precision: float
    recall: float
    calibration: tuple[CalibrationBin, ...]


def evaluate(churned: Mask, probability: Float64s, threshold: float) -> Evaluation:
    """Return every measure; `threshold` is where a user counts as predicted to churn.

    Raises:
        InputError: only one class is present, so that nothing can be ranked.
    """
    if churned.all() or not churned.any():
        raise InputError(
            f"{len(churned)} rows hold {int(churned.sum())} churned users; both classes are needed to evaluate"
        )
    table = calibration_table(churned, probability)
    called = probability >= threshold
    right = int((called & churned).sum())
    return Evaluation(
        len(churned),
        float(churned.mean()),
        auc(churned, probability),
        average_precision(churned, probability),
        log_loss(churned, probability),
        float(np.mean((probability - churned) ** 2)),
        expected_calibration_error(table),
        lift(churned, probability, 0.1),
        threshold,
        float((called == churned).mean()),
        right / int(called.sum()) if called.any() else 0.0,
        right / int(churned.sum()),
        table,
    )


def log_loss(churned: Mask, probability: Float64s) -> float:
    """Return the mean negative log-likelihood in nats.

    >>> round(log_loss(np.array([True, False]), np.array([0.5, 0.5])), 6)
    0.693147
    """
    return float(losses(churned, probability).mean())


def losses(churned: Mask, probability: Float64s) -> Float64s:
    """Return each row's negative log-likelihood in nats; their mean is the log loss.

    >>> losses(np.array([True, False]), np.array([0.5, 0.5])).round(4).tolist()
    [0.6931, 0.6931]
    """
    said = np.where(churned, probability, 1.0 - probability)
    lost: Float64s = -np.log(np.clip(said, CLIP, 1.0))
    return lost


def auc(churned: Mask, probability: Float64s) -> float:
    """Return the chance that a churned user is ranked above one who stayed; ties count half.

    >>> auc(np.array([True, False, False, True]), np.array([0.9, 0.1, 0.5, 0.5]))
    0.875
    """
    _, inverse, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    positives = int(churned.sum())
    above = float(ranks[churned].sum()) - positives * (positives + 1) / 2.0
    return above / (positives * (len(churned) - positives))


def average_precision(churned: Mask, probability: Float64s) -> float:
    """Return the area under precision over recall as a step function; users of one probability enter together.

    >>> round(average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])), 4)
    0.8333
    """
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    hits = np.cumsum(churned[order])[ends]
    precision, recall = hits / (ends + 1.0), hits / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def lift(churned: Mask, probability: Float64s, share: float) -> float:
    """Return how many times more churned users the top `share` holds than a random pick of that size.

    >>> lift(np.array([True, False, False, False]), np.array([0.9, 0.1, 0.2, 0.3]), 0.25)
    4.0
    """
    count = max(1, round(len(churned) * share))
    top = np.argsort(-probability, kind="stable")[:count]
    return float(churned[top].mean() / churned.mean())


def calibration_table(churned: Mask, probability: Float64s, bins: int = CALIBRATION_BINS) -> tuple[CalibrationBin, ...]:
    """Return bins of equal numbers of users by rising probability; fewer when there are fewer rows."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(CalibrationBin(len(p), float(probability[p].mean()), float(churned[p].mean())) for p in parts)


def expected_calibration_error(table: tuple[CalibrationBin, ...]) -> float:
    """Return the mean distance of what was said from what happened, weighted by users.

    >>> expected_calibration_error((CalibrationBin(1, 0.25, 0.0), CalibrationBin(3, 0.5, 0.75)))
    0.25
    """
    total = sum(part.users for part in table)
    return sum(part.users * abs(part.predicted - part.observed) for part in table) / total
