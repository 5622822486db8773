"""Daily files: whom they hold, what they say of each, and that a rerun changes nothing."""

import csv
import hashlib
import json
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
from churn.model import Scorer
from feature_repo.champion import Serving
from tests.training.daily import contents, folder, score, scorer, serving, snapshot
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


def split(declaration: Declaration, left_out: str = "") -> Serving:
    """Return version 7 beside 8 for 30 % of the users and 9 for 40 %: "old", at 0.41, is in the share of 9, "new" in none."""
    challengers = (scorer(declaration, "8", 0.5), 0.3), (scorer(declaration, "9", 0.25), 0.4)
    found = serving(declaration, scorer(declaration), *challengers)
    return replace(found, challengers=tuple(each for each in found.challengers if each[0].version != left_out))


def version_of(root: Path) -> dict[str, str]:
    return {row["user_id"]: row["model_version"] for row in pq.read_table(named(root, ".parquet")).to_pylist()}


@pytest.mark.usefixtures("history")
def test_under_a_split_each_row_is_by_the_version_that_serves_its_user(elearning: Declaration, tmp_path: Path) -> None:
    score(elearning, tmp_path, split(elearning))
    assert version_of(tmp_path) == {"new": "7", "old": "9"}
    lines = named(tmp_path, ".csv").read_text().splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == ["0.423883", "0.464683"]
    assert [line[-4:] for line in lines[1:]] == [',"7"', ',"9"']


@pytest.mark.usefixtures("history")
def test_the_manifest_names_the_challengers_that_serve_beside_the_champion(
    elearning: Declaration, tmp_path: Path
) -> None:
    made = score(elearning, tmp_path, split(elearning))
    assert (made.model_version, made.model_sha256) == ("7", "0" * 63 + "7")
    assert [(each.version, each.sha256[-1], each.share) for each in made.challengers] == [
        ("8", "8", 0.3),
        ("9", "9", 0.4),
    ]
    assert msgspec.json.decode((folder(tmp_path) / "manifest.json").read_bytes(), type=Manifest) == made


def test_each_row_sums_with_the_base_of_its_version(
    elearning: Declaration, tmp_path: Path, write_archive: WriteArchive, activity: Activity
) -> None:
    write_archive(many(activity)[:60])
    other = msgspec.structs.replace(scorer(elearning).model, intercept=-2.0)
    made = score(elearning, tmp_path, serving(elearning, scorer(elearning), (Scorer(other, "8"), 0.5)))
    base = {made.model_version: made.base} | {each.version: each.base for each in made.challengers}
    assert base["7"] != base["8"]
    for row in pq.read_table(named(tmp_path, ".parquet")).to_pylist():
        shares = [row[f"contribution_{place}"] for place in (1, 2, 3, "others")]
        assert round(1 / (1 + np.exp(-base[row["model_version"]] - sum(shares))), 6) == row["churn_probability"]


@pytest.mark.usefixtures("history")
def test_users_of_a_challenger_that_was_left_out_stay_with_the_champion(elearning: Declaration, tmp_path: Path) -> None:
    made = score(elearning, tmp_path, split(elearning, left_out="9"))
    assert version_of(tmp_path) == {"new": "7", "old": "7"}
    assert [each.version for each in made.challengers] == ["8"]


@pytest.mark.usefixtures("history")
def test_challengers_in_shadow_leave_every_byte_as_without_them(elearning: Declaration, tmp_path: Path) -> None:
    score(elearning, tmp_path, scorer(elearning))
    alone = contents(folder(tmp_path))
    score(elearning, tmp_path, serving(elearning, scorer(elearning), (scorer(elearning, "8", 0.5), 0.0)))
    assert contents(folder(tmp_path)) == alone
    assert list(json.loads(alone["manifest.json"])) == [
        "as_of", "rows", "files", "model", "model_version", "model_sha256", "base", "feature_set_version",
        "medium_risk", "high_risk", "archive_from", "archive_until", "events", "snapshot",
    ]  # fmt: skip


def many(activity: Activity) -> list[Event]:
    return [activity(f"user-{number:05d}", 71 + number % 29 + 0.5) for number in range(2000)]


@pytest.mark.parametrize("by", [scorer, split], ids=["champion", "split"])
def test_threads_change_no_byte(
    elearning: Declaration, tmp_path: Path, write_archive: WriteArchive, activity: Activity,
    monkeypatch: pytest.MonkeyPatch, by: Callable[[Declaration], Scorer | Serving],
) -> None:  # fmt: skip
    monkeypatch.setattr("training.day_snapshot.GROUP_ROWS", 128)
    write_archive(many(activity))
    found, places = snapshot(elearning, tmp_path), []
    for threads in (1, 5):
        monkeypatch.setattr(batch, "THREADS", threads)
        places.append(tmp_path / str(threads))
        score(elearning, places[-1], by(elearning), found)
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
