"""The live online model as a registered version: what the learner's newest snapshot knows, frozen, to challenge the champion.

No gate has judged it: it may score in shadow at once, and its matured labels tell whether it should serve.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from churn.declaration import Declaration
from churn.errors import InputError
from churn.logistic import LogisticModel
from churn.scores import EPOCH
from training.calibration import recalibration
from training.loop.reference import REFERENCE_FILE, reference_of
from training.loop.reference import encode as encode_reference
from training.obstacles import refuse_for, unnamed
from training.online import RIVER_VERSION, OnlineLearner, OnlineState
from training.online_model import Facts, exported, logit
from training.registry import Registry
from training.rows import expit
from training.steward import Steward
from training.window import Judged

LEAST_ROWS = 500
"""Of fewer rows neither a recalibration nor golden rows say much."""


@dataclass(frozen=True)
class Enrolment:
    """A version to be: the model, how well it had foretold its last rows as issued, the training reference as text."""

    model: LogisticModel
    judged: Judged
    reference: str
    learnt_until: date

    @property
    def evidence(self) -> dict[str, str | float | int]:
        """Return what the record holds."""
        return {
            "learnt_until": self.learnt_until.isoformat(),
            "rows": int(self.model.trained["rows"]),
            "river": RIVER_VERSION,
            "judged_rows": self.judged.rows,
            "log_loss": round(self.judged.log_loss, 6),
        }


def enrolment(state: OnlineState, declaration: Declaration, name: str, now: datetime) -> Enrolment:
    """Return the model of a learner's state, recalibrated by what it had said of the rows of its window.

    Raises:
        InputError: too few rows were judged yet.
        DataError: the state is of other features.
    """
    horizon_days = declaration.label.horizon_days
    learner = OnlineLearner(declaration.feature_names, declaration.feature_set_version, state, horizon_days)
    window = learner.window
    if len(window.churned) < LEAST_ROWS:
        raise InputError(
            f"the online model was judged on {len(window.churned)} labels, {LEAST_ROWS} are needed: rows are judged from"
            f" {horizon_days} days after the first midnight that it learnt from; it has learnt {learner.rows:,}"
        )
    by = recalibration(logit(window.probability), window.churned)
    until = (EPOCH + timedelta(days=learner.issued.latest_day)).date()
    facts: Facts = {
        "trained_at": now.astimezone(UTC).isoformat(),
        "train_until": until.isoformat(),
        "horizon_days": horizon_days,
        "slope": by.slope,
        "shift": by.shift,
    }
    model = exported(learner, name, window.matrix, by, facts)
    issued = expit(by.of(logit(window.probability)))
    reference = reference_of(model.features, window.matrix, issued, window.as_of_days)
    return Enrolment(model, window.judged(), encode_reference(reference), until)


def enroll(found: Enrolment, registry: Registry, steward: Steward, who: str, reason: str, now: datetime) -> str:
    """Register the model in a person's name; returns its version.

    Raises:
        InputError: a name or a reason is missing.
    """
    refuse_for(unnamed(who, reason))
    version = registry.register(
        found.model,
        {"candidate": "online", "river": RIVER_VERSION, "train_rows": found.evidence["rows"]},
        {"log_loss": found.judged.log_loss, "auc": found.judged.auc, "ece": found.judged.calibration_error},
        {"data_until": found.learnt_until.isoformat()},
        {REFERENCE_FILE: found.reference},
    )
    steward.enrolled(version, found.evidence, who, reason, now)
    return version


def told(version: str, found: Enrolment) -> Mapping[str, str | float | int]:
    """Return the figures of an enrolled version."""
    return {"version": version, **found.evidence}
