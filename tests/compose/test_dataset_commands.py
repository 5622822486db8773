"""`churn dataset`: rows on the disk, and a check that ends with an error when data is not fit."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from churn.events import Event
from compose.cli import main
from compose.dataset_commands import of_horizon
from compose.environment import read_settings
from tests.training.archives import archive, midnight

DECLARATION = str(Path(__file__).resolve().parents[2] / "feature_repo" / "declarations" / "elearning.yaml")


def history(gap: range = range(0)) -> list[Event]:
    """Return 100 days from 1970-01-11 on of 40 users, of whom ten leave for good, with no event on the days of `gap`."""
    return [
        Event(
            f"{user}-{day}", f"user-{user:02d}", "session_started", midnight(10 + day) + timedelta(hours=user % 24), 1
        )
        for day in range(100)
        for user in range(40)
        if (user + day) % 3 and day not in gap and not (user < 10 and day > 36 + user)
    ]


def run(data_dir: Path, *arguments: str) -> Result:
    variables = {"CHURN_DATA_DIR": str(data_dir), "CHURN_DECLARATION": DECLARATION}
    return CliRunner().invoke(main, ["dataset", *arguments], env=variables)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data folder with an archive."""
    archive(tmp_path / "archive", history())
    return tmp_path


def test_snapshots_a_week_apart_become_parquet(data_dir: Path) -> None:
    out = data_dir / "rows"
    result = run(data_dir, "--out", str(out), "--json", str(data_dir / "figures.json"))
    assert result.exit_code == 0, result.output
    told = json.loads((out / "manifest.json").read_text())
    rows = pq.read_table(sorted(out.glob("*.parquet")))
    assert rows.num_rows == told["rows"] == 40 * len(told["snapshots"])
    assert told["snapshots"] == sorted({day.isoformat() for day in rows["as_of"].to_pylist()})
    assert told["snapshots"][0] >= "1970-02-10"
    assert all(rows["known"].to_pylist())
    assert f"data set {told['id']}" in result.output


def test_a_midnight_without_whole_windows_is_built_with_a_warning(data_dir: Path) -> None:
    result = run(data_dir, "--as-of", "1970-01-20", "--out", str(data_dir / "rows"))
    assert result.exit_code == 0
    assert "warning: 1970-01-20 looks back 30 days, and the archive begins on 1970-01-11" in result.output


def test_feast_is_given_every_vector_once_however_often_it_is_asked(data_dir: Path) -> None:
    for out in ("rows", "again"):
        asked = ["--as-of", "1970-02-20", "--as-of", "1970-02-27", "--feast", "--out", str(data_dir / out)]
        result = run(data_dir, *asked)
        assert "80 vectors for get_historical_features" in result.output
    files = sorted((data_dir / "feast" / "user_features").rglob("*.parquet"))
    assert [file.parent.name for file in files] == ["day=1970-02-20", "day=1970-02-27"]
    assert sum(pq.read_metadata(file).num_rows for file in files) == 80


def test_a_healthy_archive_passes_the_check(data_dir: Path) -> None:
    result = run(data_dir, "check", "--horizon-days", "7")
    assert result.exit_code == 0
    assert "0 FAILED" in result.output
    assert "label rate" in result.output


def test_a_damaged_archive_fails_the_check_and_says_where(tmp_path: Path) -> None:
    archive(tmp_path / "archive", history(gap=range(50, 75)))
    result = run(tmp_path, "check", "--json", str(tmp_path / "report.json"))
    assert result.exit_code == 2
    assert "FAILED  missing days: no activity on 25 of 100 days" in result.output
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is False


def test_a_model_of_another_horizon_has_a_name_of_its_own() -> None:
    settings = read_settings({"CHURN_DECLARATION": DECLARATION})
    declaration, own = of_horizon(settings, 7)
    assert (declaration.label.horizon_days, own.model_name) == (7, f"{settings.model_name}-7d")
    assert of_horizon(settings, 30)[1] is settings
