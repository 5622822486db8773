"""What a person should know about a model version before trusting it, as data; `training.card_page` makes a page of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from churn.declaration import Declaration
from churn.evaluation import Evaluation, Mask, calibration_table
from churn.layout import Float64s
from churn.model import Scored
from training.bootstrap import Interval, Users, measure
from training.gate import GatePolicy, Labels
from training.report import TrainingReport
from training.segments import SegmentMeasures, measured, worst

CARD_FILE = "card.json"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class CalibrationPoint(msgspec.Struct, frozen=True):
    """A tenth of the hold-out by rising probability: what was said, what happened, and its interval."""

    rows: int
    said: float
    happened: Interval


class LiftPoint(msgspec.Struct, frozen=True):
    """The share of all churned rows among the riskiest `share` of the rows."""

    share: float
    found: float

    @property
    def lift(self) -> float:
        """Return how many times more churned rows these hold than as many picked at random."""
        return self.found / self.share


class RivalMeasures(msgspec.Struct, frozen=True):
    """Another model on the same rows."""

    name: str
    auc: float
    average_precision: float
    log_loss: float
    brier: float
    ece: float


class FeatureWeight(msgspec.Struct, frozen=True):
    """How much a feature moves scores: the mean of |contribution| in log-odds over the hold-out."""

    name: str
    says: str
    importance: float


class Tried(msgspec.Struct, frozen=True):
    """A kind of model that competed: its log loss on folds of the training data (None without any), then the hold-out's."""

    name: str
    chosen: bool
    fold_loss: float | None
    log_loss: float
    auc: float
    ece: float
    seconds: float
    settings: str


class Card(msgspec.Struct, frozen=True):
    """Everything on a model card that was known when the model was trained; dates are ISO, UTC."""

    model: str
    business: str
    feature_set_version: str
    trained_at: str
    horizon_days: int
    activity_events: list[str]
    excluded: dict[str, str]
    archive_from: str
    archive_until: str
    events: int
    users: int
    train_as_ofs: list[str]
    test_as_ofs: list[str]
    train_rows: int
    train_positive_rate: float
    holdout_rows: int
    holdout_users: int
    holdout_positive_rate: float
    facts: dict[str, str | float | int]
    measures: dict[str, Interval]
    rivals: list[RivalMeasures]
    calibration: list[CalibrationPoint]
    lift: list[LiftPoint]
    segments: list[SegmentMeasures]
    worst_segment: SegmentMeasures | None
    features: list[FeatureWeight]
    candidates: list[Tried]
    checks: list[str]
    promotes: bool
    why: list[str]

    def json(self) -> str:
        """Return the card as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


def read_card(text: str) -> Card:
    """Return a card from its JSON."""
    return msgspec.json.decode(text, type=Card)


def build(
    report: TrainingReport,
    declaration: Declaration,
    trained: Mapping[str, str | float | int],
    users: Sequence[str],
    churned: Mask,
    scored: Scored,
    segments: Mapping[str, Labels],
    candidates: Sequence[Tried] = (),
    checks: Sequence[str] = (),
) -> Card:
    """Put a card together.

    Args:
        trained: facts about the training that the model itself carries.
        users, churned, scored, segments: the rows of the hold-out and what the model says of them.
        checks: what else was checked (monotone risk, validation of the data), a sentence each.
    """
    numbered, policy = Users.of(users), GatePolicy()
    found, missed = measure(churned, scored.probability, numbered)
    kinds = measured(churned, scored.probability, segments)
    return Card(
        **_of_report(report),
        activity_events=list(declaration.activity_events),
        excluded=dict(declaration.label.exclude),
        holdout_rows=len(churned),
        holdout_users=numbered.count,
        holdout_positive_rate=float(churned.mean()),
        facts=dict(trained),
        measures=dict(vars(found)),
        rivals=_rivals(report),
        calibration=calibration(churned, scored.probability, missed),
        lift=lift_curve(churned, scored.probability),
        segments=list(kinds),
        worst_segment=worst(kinds, policy.min_rows, policy.min_churned),
        features=importances(declaration, scored.contributions),
        candidates=list(candidates),
        checks=list(checks),
    )


def _of_report(report: TrainingReport) -> dict[str, Any]:
    return {
        "model": report.model,
        "business": report.business,
        "feature_set_version": report.feature_set_version,
        "trained_at": report.trained_at,
        "horizon_days": report.horizon_days,
        "archive_from": report.archive_from,
        "archive_until": report.archive_until,
        "events": report.events,
        "users": report.users,
        "train_as_ofs": list(report.train_as_ofs),
        "test_as_ofs": list(report.test_as_ofs),
        "train_rows": report.train_rows,
        "train_positive_rate": report.train_positive_rate,
        "promotes": report.verdict.promotes,
        "why": list(report.verdict.why),
    }


def _rivals(report: TrainingReport) -> list[RivalMeasures]:
    others = {
        "recency alone": report.rivals.recency,
        "champion": report.rivals.champion,
        "ideal observer (knows the law and the events)": report.rivals.observer,
        "oracle (knows the hidden state)": report.rivals.oracle,
    }
    return [_rival(name, other) for name, other in others.items() if other is not None]


def _rival(name: str, other: Evaluation) -> RivalMeasures:
    return RivalMeasures(name, other.auc, other.average_precision, other.log_loss, other.brier, other.ece)


def calibration(churned: Mask, probability: Float64s, missed: Float64s) -> list[CalibrationPoint]:
    """Return the bins of the calibration plot; `missed` are the resampled gaps that `measure` returns."""
    points = []
    for number, part in enumerate(calibration_table(churned, probability, missed.shape[1])):
        share = part.users / len(churned)
        low, high = np.quantile(part.predicted - missed[:, number] / share, [0.025, 0.975])
        happened = Interval(part.observed, max(0.0, float(low)), min(1.0, float(high)))
        points.append(CalibrationPoint(part.users, part.predicted, happened))
    return points


def lift_curve(churned: Mask, probability: Float64s) -> list[LiftPoint]:
    """Return how many of the churned rows the riskiest shares hold; of equal probabilities the first rows count.

    >>> lift_curve(np.array([True, False]), np.array([0.9, 0.1]))[-6]
    LiftPoint(share=0.5, found=1.0)
    """
    found = np.cumsum(churned[np.argsort(-probability, kind="stable")])
    counts = [max(1, round(len(churned) * share)) for share in SHARES]
    return [LiftPoint(s, float(found[n - 1] / found[-1])) for s, n in zip(SHARES, counts, strict=True)]


def importances(declaration: Declaration, contributions: Float64s) -> list[FeatureWeight]:
    """Return every feature, the most important first."""
    weights = np.abs(contributions).mean(axis=0)
    features = [
        FeatureWeight(feature.name, feature.says, float(weight))
        for feature, weight in zip(declaration.features, weights, strict=True)
    ]
    return sorted(features, key=lambda feature: -feature.importance)
