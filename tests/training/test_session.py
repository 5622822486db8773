"""A training by reserved users from archive to promotion, one at a time, as a person's command and the keeper's do it."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest

from churn.declaration import Declaration
from churn.errors import OutageError
from churn.model import LogisticModel, Model
from churn.scores import Champion, Lineup
from compose.bench.business_archive import write_business
from feature_repo.archive import files
from feature_repo.champion import ServingModel
from feature_repo.instruments import Instruments
from producers.synthetic.business import Day, Scenario, SyntheticBusiness
from training.audit_log import AuditLog
from training.dataset import DataSet
from training.gate import Holdout, judge
from training.goldens import with_golden
from training.logistic import scored
from training.loop.reference import REFERENCE_FILE, decode
from training.material import material_of, snapshots_of
from training.plan import Plan
from training.registry import Registry
from training.session import Assignment, Conclusion, Session, alone
from training.steward import Steward
from training.train import REFERENCE_ROWS

NOW = datetime(2026, 6, 14, tzinfo=UTC)
RIVER = Plan("users", candidates=("online",))
LOGISTIC = Plan("users", weeks=8, candidates=("logistic",), searched=False)
HOLDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from training.session import alone

with alone(Path(sys.argv[1]), datetime(2026, 6, 1, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


class Beginning(SyntheticBusiness):
    """The first 160 days of a business."""

    def days(self, truth: bool = True) -> Iterator[Day]:
        """Yield them."""
        return islice(super().days(truth), 160)


@pytest.fixture(scope="module")
def announced() -> list[Champion | Lineup]:
    """Return what was announced, the earliest first."""
    return []


@pytest.fixture(scope="module")
def session(
    tmp_path_factory: pytest.TempPathFactory, elearning: Declaration, announced: list[Champion | Lineup]
) -> Session:
    """Return where trainings take place on 160 days of a business with 3,000 active users."""
    folder = tmp_path_factory.mktemp("session")
    scenario = Scenario(users=5000, days=485, seed=3, start=date(2026, 1, 5))
    write_business(Beginning(scenario), folder, lambda *_: None)
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", "churn", folder / "models", folder / "mlartifacts")
    steward = Steward(registry, AuditLog(folder / "models"), "automatic", announced.append)
    return Session(folder / "archive", folder / "models", elearning, steward, cache_dir=folder / "cache")


@pytest.fixture(scope="module")
def river(session: Session) -> Conclusion:
    """Return what a training of the River model alone came to."""
    return session.run(Assignment(NOW, RIVER, who="Ann", reason="schedule: 7 days old", run="run-1"))


def test_a_river_model_passes_the_gate_and_serves(
    river: Conclusion, session: Session, announced: list[Champion | Lineup], elearning: Declaration
) -> None:
    assert river.report.verdict.why[0].startswith("passed: ")
    assert (river.report.chosen, river.report.verdict.promotes, river.promoted) == ("online", True, True)
    serving = ServingModel(session.models_dir, elearning, Instruments("scorer"))
    serving.follow(announced[:1])
    assert serving.serving is not None
    assert str(serving.serving.scorer.model.trained["learner"]).startswith("river ")


def test_it_is_judged_on_the_newest_weeks_of_users_from_whom_it_did_not_learn(river: Conclusion) -> None:
    report = river.report
    assert (report.train_as_ofs[0], report.train_as_ofs[-1]) == ("2026-02-05", "2026-05-14")
    assert (report.test_as_ofs[0], report.test_as_ofs[-1]) == ("2026-03-26", "2026-05-14")
    assert report.reserved_share == 0.25
    assert "of the 25% of users from whom no version learns" in report.text()


def test_the_version_is_found_by_its_run_and_the_log_tells_who_asked(river: Conclusion, session: Session) -> None:
    assert session.steward.registry.facts(river.report.version)["run_id"] == "run-1"
    registered, passed, promoted = session.steward.history().entries[:3]
    assert (registered.step, registered.who, registered.reason) == ("registered", "Ann", "schedule: 7 days old")
    assert (registered.evidence["run"], registered.evidence["train_until"]) == ("run-1", "2026-05-14")
    assert (passed.step, promoted.step, promoted.at) == ("gate_passed", "promoted", NOW)


def test_the_reference_is_of_the_training_rows_and_of_what_is_said_of_others(
    river: Conclusion, session: Session
) -> None:
    text = session.steward.registry.text(river.report.version, REFERENCE_FILE)
    assert text is not None
    reference = decode(text, "version 1")
    assert reference.rows == REFERENCE_ROWS < river.report.train_rows
    assert sum(reference.score.counts) == river.report.evaluation.rows


def test_a_second_training_meets_the_champion_on_rows_that_neither_knows(river: Conclusion, session: Session) -> None:
    again = session.run(Assignment(NOW, LOGISTIC, promote=False)).report
    assert again.rivals.champion == river.report.evaluation
    assert not [line for line in again.verdict.why if "may know these rows" in line]


def test_a_champion_that_learnt_from_everybody_is_said_to_know_the_rows(session: Session) -> None:
    later = session.run(Assignment(NOW, Plan(candidates=("logistic",), searched=False)))
    session.steward.promote(later.report.version, "Ann", "to be judged", NOW, override=True)
    told = session.run(Assignment(NOW, LOGISTIC, promote=False)).report.verdict.why
    assert [line for line in told if "which learnt until 2026-03-19 and may know these rows" in line]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return another process in the middle of a training."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_training_at_a_time_and_a_kill_lets_go(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    seen = f"another training is under way .as of 2026-06-01 00:00 UTC, pid {holder.pid}."
    with pytest.raises(OutageError, match=seen), alone(tmp_path, NOW):
        pass
    holder.kill()
    holder.wait()
    with alone(tmp_path, NOW):
        assert "2026-06-14" in (tmp_path / "training.lock").read_text()


@pytest.fixture(scope="module")
def kept(session: Session) -> LogisticModel:
    """Return a champion beside which the gate refuses what a training of now comes to, though the two are as good."""
    new = session.steward.registry.model(session.run(Assignment(NOW, LOGISTIC, promote=False)).report.version)
    archived, declaration = files(session.archive_dir), session.declaration
    with TemporaryDirectory() as scratch, DataSet(declaration, archived, Path(scratch)) as data:
        material = material_of(data, LOGISTIC, snapshots_of(data, declaration, None), declaration.label.horizon_days)
    test, said = material.test, scored(new, material.test.rows.matrix)
    holdout = Holdout(test.rows.churned, test.users, {})
    worst = np.full(len(said), 0.5)
    found = (
        champion
        for champion in map(partial(trembling, new), range(100))
        if not judge(holdout, said, worst, scored(champion, test.rows.matrix), "1").promotes
    )
    champion = next(found)
    return with_golden(champion, test.rows.matrix[:500], partial(scored, champion))


def trembling(model: Model, seed: int) -> LogisticModel:
    """Return the model with weights that are a little off."""
    assert isinstance(model, LogisticModel)
    off = 0.02 * np.random.default_rng(seed).normal(size=len(model.weight))
    return msgspec.structs.replace(model, weight=(np.array(model.weight) + off).tolist(), golden=[])


def test_where_the_gate_would_keep_the_champion_the_mean_of_both_serves(
    kept: LogisticModel, session: Session, announced: list[Champion | Lineup]
) -> None:
    registry = session.steward.registry
    version = registry.register(kept, {}, {}, {}, {})
    session.steward.promote(version, "Ann", "to be met", NOW, override=True)
    found = session.run(Assignment(NOW, LOGISTIC))
    assert [each.name for each in found.report.candidates] == ["averaged", "logistic"]
    assert (found.report.chosen, found.promoted) == ("averaged", True)
    assert registry.model(found.report.version).trained["averaged_with"] == version
    assert registry.champion() == announced[-1]
