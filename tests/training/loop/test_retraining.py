"""What becomes of a training whose process was cut off, on a real MLflow with SQLite."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from churn.declaration import Declaration
from churn.errors import OutageError
from churn.scores import Champion, Lineup, to_us
from tests.training.loop.kept import model_of
from training.audit_log import AuditLog
from training.loop.retraining import Retraining
from training.loop.runs import Runs
from training.loop.triggers import Attempt, Cause, Triggers
from training.registry import Registry
from training.steward import Steward

NOW = datetime(2026, 3, 7, tzinfo=UTC)
RUN = "manual-20260307T000000-1"


class Kafka(list[Champion | Lineup]):
    """Takes announcements, unless it is away."""

    away = False

    def announce(self, record: Champion | Lineup) -> None:
        """Take one."""
        if self.away:
            raise OutageError("churn-models did not take the announcement")
        self.append(record)


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def steward(registry: Registry, tmp_path: Path, kafka: Kafka, elearning: Declaration) -> Steward:
    """Return a steward whose version 1 was registered by the run."""
    registry.register(model_of(elearning, 1.0, -3.0), {}, {}, {"gate": "passed", "run_id": RUN}, {})
    return Steward(registry, AuditLog(tmp_path / "models"), "automatic", kafka.announce)


@pytest.fixture
def retraining(steward: Steward, tmp_path: Path) -> Retraining:
    """Return who waits for the run, which is not going on any more."""
    triggers, cause = Triggers(), Cause("manual", "new prices", {}, to_us(NOW), "ann")
    triggers.state.chosen, triggers.state.attempt = cause, Attempt(RUN, cause, 1, to_us(NOW))
    return Retraining(triggers, Runs(tmp_path / "runs", lambda _: []), steward, "automatic", lambda: None)


def steps(steward: Steward) -> list[str]:
    return [entry.step for entry in steward.history().entries]


def test_a_version_that_serves_but_was_never_told_of_is_announced(
    steward: Steward, kafka: Kafka, retraining: Retraining
) -> None:
    kafka.away = True
    with pytest.raises(OutageError):
        steward.promote("1", "the gate", "passed", NOW)
    kafka.away = False
    assert retraining.go_on(None, to_us(NOW)) == ("promoted", [])
    assert [record.version for record in kafka if isinstance(record, Champion)] == ["1"]
    assert steps(steward) == ["promoted", "unannounced", "announced"]


def test_one_whose_run_came_to_its_end_is_not_announced_again(
    steward: Steward, kafka: Kafka, retraining: Retraining, tmp_path: Path
) -> None:
    steward.promote("1", "the gate", "passed", NOW)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / f"{RUN}.json").write_text('{"promoted": true}')
    assert retraining.go_on(None, to_us(NOW)) == ("promoted", [])
    assert (len(kafka), steps(steward)) == (1, ["promoted"])


def test_while_kafka_is_away_it_waits_and_trains_nothing_again(
    steward: Steward, kafka: Kafka, retraining: Retraining
) -> None:
    kafka.away = True
    assert retraining.go_on(None, to_us(NOW)) is None
    assert retraining.problem == "churn-models did not take the announcement"
    # Not at once again: each announcement to a Kafka that is away is a line of the log.
    assert retraining.go_on(None, to_us(NOW)) is None
    assert steps(steward) == ["promoted", "unannounced"]
    assert retraining.attempt is not None
