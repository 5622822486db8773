"""Daily files: whom they hold, what they say of each, and that a rerun changes nothing."""

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from churn.declaration import Declaration
from churn.errors import DataError
from churn.events import Event
from tests.training.daily import contents, folder, score, scorer, snapshot
from training import batch
from training.batch import Manifest

WriteArchive = Callable[[Sequence[Event]], list[Path]]
Activity = Callable[[str, float], Event]


@pytest.fixture
def history(write_archive: WriteArchive, activity: Activity) -> None:
    """Write three users, of whom one has been gone for longer than the horizon."""
    write_archive([activity("new", 99.5), activity("old", 70.5), activity("gone", 69.5), activity("tomorrow", 100.5)])


def named(root: Path, suffix: str) -> Path:
    """Return the file that the manifest names, as a reader finds it."""
    manifest = msgspec.json.decode((folder(root) / "manifest.json").read_bytes(), type=Manifest)
    (name,) = (name for name in manifest.files if name.endswith(suffix))
    return folder(root) / name


@pytest.mark.usefixtures("history")
def test_files_hold_the_active_users_with_band_and_reasons(elearning: Declaration, tmp_path: Path) -> None:
    manifest = score(elearning, tmp_path, scorer(elearning))
    rows = pq.read_table(named(tmp_path, ".parquet")).to_pylist()
    assert manifest.rows == 2
    assert [(row["user_id"], row["band"], row["model_version"]) for row in rows] == [
        ("new", "low", "7"),
        ("old", "high", "7"),
    ]
    assert rows[0]["churn_probability"] == 0.423883
    assert rows[0]["as_of"] == datetime(1970, 4, 11, tzinfo=UTC)
    assert (rows[1]["feature_1"], rows[1]["reason_1"]) == ("days_since_last_activity", "no activity for 30 days")


@pytest.mark.usefixtures("history")
def test_contributions_and_base_sum_to_the_log_odds(elearning: Declaration, tmp_path: Path) -> None:
    manifest = score(elearning, tmp_path, scorer(elearning))
    for row in pq.read_table(named(tmp_path, ".parquet")).to_pylist():
        shares = [row[f"contribution_{place}"] for place in (1, 2, 3, "others")]
        assert round(1 / (1 + np.exp(-manifest.base - sum(shares))), 6) == row["churn_probability"]


@pytest.mark.usefixtures("history")
def test_csv_says_the_same(elearning: Declaration, tmp_path: Path) -> None:
    score(elearning, tmp_path, scorer(elearning))
    lines = named(tmp_path, ".csv").read_text().splitlines()
    assert lines[0] == "user_id,as_of,churn_probability,band,reason_1,reason_2,reason_3,model_version"
    assert lines[1].startswith('"new","1970-04-11T00:00:00Z",0.423883,"low","no activity for 1 days",')


def test_any_user_id_comes_out_of_the_csv_as_it_was(
    elearning: Declaration, tmp_path: Path, write_archive: WriteArchive, activity: Activity
) -> None:
    users = sorted(["a,b", 'say "hi"', "two\nlines", "cr\rlf", "=1+1", " space ", "µé漢", "'", "NULL", "-1", "@x"])
    write_archive([activity(user, 99.5) for user in users])
    score(elearning, tmp_path, scorer(elearning))
    with named(tmp_path, ".csv").open(newline="", encoding="utf-8") as file:
        assert [row["user_id"] for row in csv.DictReader(file)] == users


@pytest.mark.usefixtures("history")
def test_sentences_with_commas_and_quotes_come_out_of_the_csv(elearning: Declaration, tmp_path: Path) -> None:
    told = [replace(f, says='silent, or "away", for {value} days') for f in elearning.features]
    declared = replace(elearning, features=tuple(told))
    score(declared, tmp_path, scorer(declared))
    with named(tmp_path, ".csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["reason_1"] == 'silent, or "away", for 1 days'


@pytest.mark.usefixtures("history")
def test_a_rerun_touches_nothing(elearning: Declaration, tmp_path: Path) -> None:
    first = score(elearning, tmp_path, scorer(elearning))
    before, times = contents(folder(tmp_path)), [path.stat().st_mtime_ns for path in folder(tmp_path).iterdir()]
    assert score(elearning, tmp_path, scorer(elearning)) == first
    assert contents(folder(tmp_path)) == before
    assert [path.stat().st_mtime_ns for path in folder(tmp_path).iterdir()] == times
    assert set(before) == {"manifest.json", *first.files}
    assert [hashlib.sha256(before[name]).hexdigest() for name in first.files] == list(first.files.values())


@pytest.mark.usefixtures("history")
def test_another_model_replaces_both_files_at_once(elearning: Declaration, tmp_path: Path) -> None:
    old = score(elearning, tmp_path, scorer(elearning))
    new = score(elearning, tmp_path, scorer(elearning, "8", 0.5))
    assert set(contents(folder(tmp_path))) == {"manifest.json", *new.files}
    assert not set(old.files) & set(new.files)
    assert (new.model_version, new.snapshot) == ("8", old.snapshot)


def many(activity: Activity) -> list[Event]:
    return [activity(f"user-{number:05d}", 71 + number % 29 + 0.5) for number in range(2000)]


def test_threads_change_no_byte(
    elearning: Declaration, tmp_path: Path, write_archive: WriteArchive, activity: Activity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("training.day_snapshot.GROUP_ROWS", 128)
    write_archive(many(activity))
    found, places = snapshot(elearning, tmp_path), []
    for threads in (1, 5):
        monkeypatch.setattr(batch, "THREADS", threads)
        places.append(tmp_path / str(threads))
        score(elearning, places[-1], scorer(elearning), found)
    assert found.groups() == 16
    assert contents(folder(places[0])) == contents(folder(places[1]))


@pytest.mark.usefixtures("history")
def test_other_features_are_refused(elearning: Declaration, tmp_path: Path) -> None:
    found, fewer = snapshot(elearning, tmp_path), replace(elearning, features=elearning.features[:-1])
    with pytest.raises(DataError, match=r"snapshot is of feature set .*, the declaration is .* build it anew"):
        score(fewer, tmp_path, scorer(fewer), found)
    with pytest.raises(DataError, match=r"model 7 reads feature set .* train a model for it"):
        score(elearning, tmp_path, scorer(fewer), found)


def test_nobody_to_score_is_said(
    elearning: Declaration, tmp_path: Path, write_archive: WriteArchive, activity: Activity
) -> None:
    write_archive([activity("gone", 50.5), Event("p", "gone", "payment_failed", activity("", 99.5).occurred_at, 1)])
    with pytest.raises(DataError, match="nobody to score as of 1970-04-11: of 1 users none was active in the 30 days"):
        score(elearning, tmp_path, scorer(elearning))
    assert not folder(tmp_path).exists()


@pytest.mark.usefixtures("history")
def test_a_damaged_snapshot_is_refused(elearning: Declaration, tmp_path: Path) -> None:
    found = snapshot(elearning, tmp_path)
    with found.path.open("r+b") as file:
        file.write(b"X")
    with pytest.raises(DataError, match="not what its manifest says; remove the folder"):
        score(elearning, tmp_path, scorer(elearning), found)
