"""A snapshot of the online model becomes a version that says exactly what River says."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from churn.declaration import Declaration
from churn.errors import InputError
from churn.layout import Float64s, Floats
from churn.model import Scorer
from compose.bench.vectors import Vectors
from compose.cli import main
from feature_repo.bundles import load
from feature_repo.manifest import signature_of
from tests.training.versions import registered
from training.audit_log import AuditLog
from training.calibration import Recalibration
from training.enrolment import enrolment
from training.loop.reference import REFERENCE_FILE
from training.online import OnlineLearner
from training.online_model import exported, logit
from training.registry import Registry
from training.rows import expit
from training.snapshots import Snapshot, save
from training.steward import Steward

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def taught(declaration: Declaration, midnights: int = 40) -> OnlineLearner:
    """Return a learner after 100 labels of each midnight from 2024-10-04 on."""
    learner, vectors = OnlineLearner(declaration.feature_names, declaration.feature_set_version), Vectors(declaration)
    for day in range(midnights):
        matrix = vectors.block(day, 100)
        learner.learn(20_000 + day, matrix, vectors.churned(matrix))
    return learner


@pytest.fixture(scope="module")
def learner(elearning: Declaration) -> OnlineLearner:
    return taught(elearning)


def by_river(learner: OnlineLearner, matrix: Floats, by: Recalibration) -> Float64s:
    return expit(by.of(logit(learner.predict(matrix))))


def test_a_recalibrated_model_says_what_river_says(learner: OnlineLearner, elearning: Declaration) -> None:
    matrix, by = Vectors(elearning).block(99, 500), Recalibration(0.8, -0.3)
    scorer = Scorer(exported(learner, "churn", matrix, by), "1")
    scorer.verify()
    assert np.abs(scorer.score(matrix).probability - by_river(learner, matrix, by)).max() < 1e-9


def test_an_enrolled_snapshot_challenges_and_scores_as_river_does(
    learner: OnlineLearner, elearning: Declaration, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "models" / "online", 1, Snapshot(learner.state(), {}))
    registry.promote(registered(registry), "first", NOW)
    monkeypatch.setenv("CHURN_DATA_DIR", str(tmp_path))
    done = CliRunner().invoke(main, ["models", "enroll-online", "--by", "Ann", "--reason", "fresh weights"])
    assert done.exit_code == 0, done.output
    assert "version 2: the online model after 4,000 labels until 2024-11-12, log loss" in done.output
    steward = Steward(registry, AuditLog(tmp_path / "models"), "automatic", lambda record: None)
    lineup = steward.challenge("2", 0.0, elearning, "Ann", "shadow", NOW)
    scorer = load(tmp_path / "models", lineup.challengers[0], elearning.feature_set_version, signature_of(elearning))
    trained, matrix = scorer.model.trained, Vectors(elearning).block(99, 500)
    by = Recalibration(float(trained["slope"]), float(trained["shift"]))
    assert np.abs(scorer.score(matrix).probability - by_river(learner, matrix, by)).max() < 1e-9
    assert (trained["train_until"], trained["rows"]) == ("2024-11-12", 4000)
    assert registry.facts("2")["state"] == "enrolled"
    assert registry.text("2", REFERENCE_FILE) is not None
    told = [(entry.step, entry.version, entry.who) for entry in steward.history().entries]
    assert told[-2:] == [("registered", "2", "Ann"), ("challenged", "2", "Ann")]


def test_without_a_snapshot_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_DATA_DIR", str(tmp_path))
    done = CliRunner().invoke(main, ["models", "enroll-online", "--by", "Ann", "--reason", "fresh weights"])
    assert done.exit_code == 2
    assert "holds no snapshot of the learner; start `churn worker learner`" in done.output


def test_a_model_that_was_hardly_judged_is_not_enrolled(elearning: Declaration) -> None:
    with pytest.raises(InputError, match="judged on 200 labels, 500 are needed"):
        enrolment(taught(elearning, 32).state(), elearning, "churn", NOW)
