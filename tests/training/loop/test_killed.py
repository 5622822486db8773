"""A keeper killed by SIGKILL at each point between two effects: nothing is lost, and nothing is done twice."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from churn.declaration import Declaration
from churn.settings import Settings
from churn.topics import MODELS
from tests.training.loop import killed
from tests.training.loop.kept import BEGAN, midnight_of, model_of, people, serve, steps, steward
from training.announce import announce

ROOT = Path(__file__).resolve().parents[3]
Keep = Callable[[str, str], str]


@pytest.fixture
def settings(one_partition: Settings, new_database: Path, elearning: Declaration) -> Settings:
    """Return settings of a registry whose version 1 serves, with a midnight of its seventh day."""
    (one_partition.data_dir / "mlflow.db").write_bytes(new_database.read_bytes())
    serve(one_partition, model_of(elearning, 1.0, -3.0), BEGAN)
    midnight_of(one_partition, elearning, 6, people(elearning, 300))
    return one_partition


@pytest.fixture
def keep(settings: Settings) -> Iterator[Keep]:
    """Return a function that runs a keeper to a point or to a step, and says how it ended."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    argv = [
        sys.executable,
        killed.__file__,
        settings.kafka_bootstrap_servers,
        settings.topic_prefix,
        str(settings.data_dir),
    ]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables) as process:

        def run(point: str, wanted: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{point} {wanted}\n")
            process.stdin.flush()
            return next(line for line in process.stdout if line.startswith(("killed", "ended"))).strip()

        yield run


def begin_again(settings: Settings, elsewhere: Path) -> None:
    """Put the registry, the models and the keeper's folder back, and the models topic with them."""
    shutil.rmtree(settings.data_dir)
    shutil.copytree(elsewhere, settings.data_dir)
    champion = steward(settings).registry.champion()
    assert champion is not None
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    announce(config, MODELS.name(settings.topic_prefix), champion)


@pytest.mark.timeout(600)
def test_no_training_is_lost_or_done_twice_and_no_version_promoted_twice(
    settings: Settings, elearning: Declaration, keep: Keep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    steward(settings).registry.register(model_of(elearning, 1.1, -3.0), {}, {}, {"gate": "passed"}, {})
    begun = tmp_path_factory.mktemp("begun") / "data"
    shutil.copytree(settings.data_dir, begun)
    for point in ("saved", "run_started", "concluded", "attempt_saved"):
        begin_again(settings, begun)
        assert keep(f"keeper.{point}", "promoted:2") == "killed", point
        if point == "attempt_saved":
            # Nothing was started: the attempt counts as failed, and the next one follows when time has moved on.
            assert keep("-", "training_failed:1") == "ended 0"
            midnight_of(settings, elearning, 7, people(elearning, 300))
        assert keep("-", "promoted:2") == "ended 0", point
        done = steps(settings)
        assert (done.count("triggered"), done.count("promoted")) == (1, 2), (point, done)
        assert done.count("training_failed") == (point == "attempt_saved"), (point, done)
        assert (settings.data_dir / "trainings").read_text() == "training\n", point


@pytest.mark.timeout(600)
def test_a_promotion_is_taken_back_once(
    settings: Settings, elearning: Declaration, keep: Keep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    serve(settings, model_of(elearning, 0.0), BEGAN + timedelta(days=7))
    begun = tmp_path_factory.mktemp("begun") / "data"
    shutil.copytree(settings.data_dir, begun)
    for point in ("rollback_saved", "rolled_back"):
        begin_again(settings, begun)
        assert keep(f"keeper.{point}", "rejected:1") == "killed", point
        assert keep("-", "rejected:1") == "ended 0", point
        done = steps(settings)
        assert [step for step in done if step in ("rolled_back", "rejected")] == ["rolled_back", "rejected"], done
