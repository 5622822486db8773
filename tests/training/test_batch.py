"""Daily files: whom they hold, and that a rerun changes nothing."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from churn.declaration import Declaration
from churn.errors import DataError
from churn.events import Event
from churn.model import GoldenRow, LogisticModel, Scorer
from training.batch import Bands, Manifest, score_all

WriteArchive = Callable[[Sequence[Event]], list[Path]]
MIDNIGHT = datetime(1970, 4, 11, tzinfo=UTC)


def scorer(declaration: Declaration) -> Scorer:
    """Return a model in which only days of silence count: log-odds = log(1 + days) - 1."""
    names = list(declaration.feature_names)
    weight = [1.0 if name == "days_since_last_activity" else 0.0 for name in names]
    zeros, ones = [0.0] * len(names), [1.0] * len(names)
    golden = [GoldenRow([0.0] * len(names), 0.2689414213699951)]
    return Scorer(
        LogisticModel(
            "churn", declaration.feature_set_version, names, zeros, ones, weight, zeros, zeros, -1.0, golden, {}
        ),
        "7",
    )


AS_OF = MIDNIGHT.date()


def run(declaration: Declaration, tmp_path: Path, as_of: date = AS_OF) -> Manifest:
    """Score all users of the archive below tmp_path."""
    return score_all(
        as_of,
        archive_dir=tmp_path / "archive",
        predictions_dir=tmp_path / "predictions",
        declaration=declaration,
        scorer=scorer(declaration),
        bands=Bands(0.6, 0.9),
    )


@pytest.fixture
def history(write_archive: WriteArchive, activity: Callable[[str, float], Event]) -> None:
    """Write three users, of whom one has been gone for longer than the horizon."""
    write_archive([activity("new", 99.5), activity("old", 70.5), activity("gone", 69.5), activity("tomorrow", 100.5)])


@pytest.mark.usefixtures("history")
def test_files_hold_the_active_users_with_band_and_reasons(elearning: Declaration, tmp_path: Path) -> None:
    manifest = run(elearning, tmp_path)
    rows = pq.read_table(tmp_path / "predictions" / "as_of=1970-04-11" / "scores.parquet").to_pylist()
    assert manifest.rows == 2
    assert [(row["user_id"], row["band"], row["model_version"]) for row in rows] == [
        ("new", "low", "7"),
        ("old", "high", "7"),
    ]
    assert rows[0]["churn_probability"] == pytest.approx(0.423883)
    assert rows[0]["as_of"] == MIDNIGHT
    assert rows[1]["reason_1"] == "no activity for 30 days"


@pytest.mark.usefixtures("history")
def test_csv_says_the_same(elearning: Declaration, tmp_path: Path) -> None:
    run(elearning, tmp_path)
    lines = (tmp_path / "predictions" / "as_of=1970-04-11" / "scores.csv").read_text().splitlines()
    assert lines[0] == "user_id,as_of,churn_probability,band,reason_1,reason_2,reason_3,model_version"
    assert lines[1].startswith("new,1970-04-11T00:00:00Z,0.423883,low,no activity for 1 days,")


@pytest.mark.usefixtures("history")
def test_a_rerun_gives_the_same_bytes_and_leaves_nothing_else(elearning: Declaration, tmp_path: Path) -> None:
    first = run(elearning, tmp_path)
    folder = tmp_path / "predictions" / "as_of=1970-04-11"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(elearning, tmp_path) == first
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) == {"scores.parquet", "scores.csv", "manifest.json"}
    assert first.files["scores.csv"] == hashlib.sha256(before["scores.csv"]).hexdigest()


@pytest.mark.usefixtures("history")
def test_an_archive_that_ends_too_early_is_refused(elearning: Declaration, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the archive ends on 1970-04-11"):
        run(elearning, tmp_path, date(1970, 4, 13))
