"""The MLflow project runs commands that exist, on the pinned packages."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from mlflow.projects import _project_spec as specification
from mlflow.utils.environment import _PythonEnv

from compose.cli import main

ROOT = Path(__file__).resolve().parents[2]
PROJECT = specification.load_project(str(ROOT))  # type: ignore[no-untyped-call]  # MLflow's own
ENTRIES = sorted(yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"])


def command(entry: str) -> list[str]:
    """Return the command of an entry point, as MLflow would run it without parameters."""
    line = PROJECT.get_entry_point(entry).compute_command({}, storage_dir=None)
    return [word.strip("'") for word in shlex.split(line)]


def test_training_and_scoring_are_entry_points() -> None:
    assert PROJECT.name == "churn"
    assert ENTRIES == ["main", "score", "train", "train_without_promotion"]
    assert command("score") == ["python", "-m", "compose", "score", "--as-of", "today"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_point_is_a_command_with_these_options(entry: str) -> None:
    start, words = command(entry)[:3], command(entry)[3:]
    assert start == ["python", "-m", "compose"]
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output == CliRunner().invoke(main, [words[0], "--help"]).output
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", result.output))


def test_the_environment_is_the_lock_and_names_no_address() -> None:
    environment = _PythonEnv.from_yaml(PROJECT.env_config_path)  # type: ignore[no-untyped-call]  # MLflow's own
    assert environment.dependencies == ["-r requirements.lock"]
    assert (ROOT / "requirements.lock").is_file()
    for name in ("MLproject", "python_env.yaml"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert not re.search(r"(^|\s)/\w", text)
