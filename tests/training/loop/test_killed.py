"""A keeper killed by SIGKILL at each point between two effects: nothing is lost, and nothing is done twice."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

import pytest

from churn.declaration import Declaration
from churn.settings import Settings
from churn.topics import MODELS
from compose.bench.business_archive import write_business
from compose.simulation.stage import variables
from producers.synthetic.business import Day, Scenario, SyntheticBusiness
from tests.compose.shell import Shell
from tests.training.loop import killed
from tests.training.loop.kept import BEGAN, folder_of, midnight_of, model_of, people, serve, steps, steward
from training.announce import announce

ROOT = Path(__file__).resolve().parents[3]
ARCHIVED_DAYS = 110
Keep = Callable[[str, str], str]


class Beginning(SyntheticBusiness):
    """The first days of a business."""

    def days(self, truth: bool = True) -> Iterator[Day]:
        """Yield them."""
        return islice(super().days(truth), ARCHIVED_DAYS)


@pytest.fixture
def settings(one_partition: Settings, new_database: Path, elearning: Declaration) -> Settings:
    """Return settings of a registry whose version 1 serves."""
    (one_partition.data_dir / "mlflow.db").write_bytes(new_database.read_bytes())
    serve(one_partition, model_of(elearning, 1.0, -3.0), BEGAN)
    return one_partition


@pytest.fixture
def shell(settings: Settings) -> Shell:
    """Return the command line under these settings, as every process here sees them."""
    own = {
        **variables(),
        "CHURN_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "CHURN_TOPIC_PREFIX": settings.topic_prefix,
        "CHURN_DATA_DIR": str(settings.data_dir),
        "CHURN_DECLARATION": str(ROOT / "feature_repo" / "declarations" / "elearning.yaml"),
        "CHURN_TRAINER_LOADED": "false",
    }
    return Shell(own)


@pytest.fixture
def keep(settings: Settings, shell: Shell) -> Iterator[Keep]:
    """Return a function that runs a keeper to an event or to a step, and says how it ended."""
    environment = {**os.environ, **shell.variables, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    argv = [sys.executable, killed.__file__]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:

        def run(event: str, wanted: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{event} {wanted}\n")
            process.stdin.flush()
            return next(line for line in process.stdout if line.startswith(("killed", "ended"))).strip()

        yield run
    for left in killed.trainings(settings):
        left.kill()


def begin_again(settings: Settings, elsewhere: Path) -> None:
    """Put the registry, the models and the keeper's folder back, and the models topic with them."""
    shutil.rmtree(settings.data_dir)
    shutil.copytree(elsewhere, settings.data_dir)
    champion = steward(settings).registry.champion()
    assert champion is not None
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    announce(config, MODELS.name(settings.topic_prefix), champion)


@pytest.mark.timeout(600)
def test_one_request_is_answered_once_whoever_is_killed_while_it_is_trained(
    settings: Settings, elearning: Declaration, keep: Keep, shell: Shell
) -> None:
    write_business(
        Beginning(Scenario(users=1500, days=485, seed=3, start=date(2026, 1, 5))), settings.data_dir, lambda *_: None
    )

    def days_pass(day: int) -> None:
        # So few users that a promotion is not guarded: these are none of those whom the training learns.
        midnight_of(settings, elearning, day, people(elearning, 30))

    days_pass(1)
    shell.succeed("retrain", "--by", "ann", "--reason", "new pricing")
    assert keep("keeper.saved", "promoted:2") == "killed"
    assert keep("keeper.attempt_saved", "promoted:2") == "killed"
    # Nothing was started: the attempt has failed, and the next one follows when time has moved on.
    assert keep("-", "training_failed:1") == "ended 0"
    days_pass(2)
    assert keep("kill-training", "training_failed:2") == "ended 0"
    days_pass(3)
    assert keep("keeper.run_started", "promoted:2") == "killed"
    assert keep("orphan", "promoted:2") == "killed"
    (orphan,) = killed.trainings(settings)
    days_pass(4)
    assert keep("look", "promoted:2") == "killed"
    assert killed.trainings(settings) == [orphan]
    assert keep("keeper.concluded", "promoted:2") == "killed"
    assert keep("-", "promoted:2") == "ended 0"
    assert steps(settings) == [
        "promoted", "triggered", "training_failed", "training_failed", "registered", "gate_passed", "promoted",
    ]  # fmt: skip
    registry = steward(settings).registry
    assert [(each.version, each.aliases) for each in registry.versions()] == [
        ("2", ("champion",)),
        ("1", ("previous",)),
    ]
    assert registry.facts("2")["run_id"] == "manual-20260302T000000-3"
    assert sorted(log.stem[-1] for log in (folder_of(settings) / "runs").glob("*.log")) == ["2", "3"]
    assert killed.trainings(settings) == []


@pytest.mark.timeout(600)
def test_a_promotion_is_taken_back_once(
    settings: Settings, elearning: Declaration, keep: Keep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    serve(settings, model_of(elearning, 0.0), BEGAN + timedelta(days=7))
    midnight_of(settings, elearning, 6, people(elearning, 300))
    begun = tmp_path_factory.mktemp("begun") / "data"
    shutil.copytree(settings.data_dir, begun)
    for point in ("rollback_saved", "rolled_back"):
        begin_again(settings, begun)
        assert keep(f"keeper.{point}", "rejected:1") == "killed", point
        assert keep("-", "rejected:1") == "ended 0", point
        done = steps(settings)
        assert [step for step in done if step in ("rolled_back", "rejected")] == ["rolled_back", "rejected"], done
