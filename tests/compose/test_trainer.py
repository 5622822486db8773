"""A training that begins in a copy of a loaded process behaves like one that was started anew."""

import fcntl
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compose.trainer import LoadedTrainer
from training.loop.runs import Order, Runs

RUN_SECONDS = 120.0
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder whose archive is a pipe that nobody writes to: what reads it goes on until it is ended."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "archive" / "_segments").mkdir(parents=True)
    os.mkfifo(folder / "archive" / "_segments" / "0000-000000000000-000000000009.json")
    return folder


@pytest.fixture(scope="module")
def trainer(data_dir: Path) -> Iterator[LoadedTrainer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHURN_DATA_DIR", str(data_dir))
        yield LoadedTrainer()


def ended(trainer: LoadedTrainer, folder: Path, *command: str) -> tuple[int, str]:
    with (folder / "output").open("wb") as output, (folder / "lock").open("wb") as lock:
        running = trainer(["python", "-m", "compose", *command], output.fileno(), lock.fileno())
    code = running.wait(RUN_SECONDS)
    return code, (folder / "output").read_text()


def test_it_runs_a_command_line_of_this_program_and_keeps_what_it_says(trainer: LoadedTrainer, tmp_path: Path) -> None:
    code, said = ended(trainer, tmp_path, "settings")
    assert code == 0
    assert "CHURN_TRAINER_LOADED" in said


def test_its_exit_code_is_the_commands(trainer: LoadedTrainer, tmp_path: Path) -> None:
    code, said = ended(trainer, tmp_path, "train", "--candidates", "astrology")
    assert code == 2
    assert "no candidate is called astrology" in said


def test_a_training_that_nobody_waits_for_ends_when_its_time_is_over(trainer: LoadedTrainer, tmp_path: Path) -> None:
    code, _ = ended(trainer, tmp_path, "train", "--candidates", "logistic", "--time-limit-seconds", "1")
    assert code == -signal.SIGALRM


def test_the_lock_is_held_until_it_has_ended(trainer: LoadedTrainer, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output, (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Reads a pipe that nobody writes to: it goes on until it is ended.
        os.mkfifo(tmp_path / "mapping")
        waits = ["import", str(tmp_path / "mapping"), "--mapping", str(tmp_path / "mapping")]
        running = trainer(["python", "-m", "compose", *waits], output.fileno(), lock.fileno())
    assert taken(tmp_path / "lock")
    assert running.poll() is None
    running.kill()
    assert running.wait(RUN_SECONDS) < 0
    assert not taken(tmp_path / "lock")


def taken(path: Path) -> bool:
    with path.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_runs_begin_as_they_are_told_to(trainer: LoadedTrainer, tmp_path: Path) -> None:
    runs = Runs(tmp_path, lambda _: ["python", "-m", "compose", "settings"], begin=trainer)
    assert runs.start(Order("r-1", "ann", "to see", NOW, tmp_path / "r-1.json"))
    runs_ended = runs.ended("r-1")
    assert (runs_ended.code, "CHURN_TRAINER_LOADED" in runs_ended.tail) == (0, True)
