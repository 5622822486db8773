"""A snapshot holds the vectors of its midnight, is used again while they hold, and built again when they do not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from churn.days import day_number
from churn.declaration import Declaration
from churn.errors import DataError, OutageError
from churn.events import Event
from feature_repo.archive import files
from tests.training.archives import archive
from tests.training.daily import AS_OF, contents, folder, snapshot
from training.dataset import DataSet, Sampling
from training.day_snapshot import opened

WriteArchive = Callable[[Sequence[Event]], list[Path]]
Activity = Callable[[str, float], Event]


@pytest.fixture
def history(write_archive: WriteArchive, activity: Activity) -> None:
    """Write three users, of whom one has been gone for longer than the horizon."""
    write_archive([activity("new", 99.5), activity("old", 70.5), activity("gone", 69.5)])


@pytest.mark.usefixtures("history")
def test_it_holds_everybody_and_marks_the_population(elearning: Declaration, tmp_path: Path) -> None:
    found = snapshot(elearning, tmp_path)
    rows = pq.read_table(found.path, columns=["user_id", "days_since_last_activity", "population"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [("gone", 31.0, False), ("new", 1.0, True), ("old", 30.0, True)]
    assert (found.manifest.users, found.manifest.population, found.manifest.events) == (3, 2, 3)
    assert (found.manifest.archive_from, found.manifest.archive_until) == ("1970-03-11", "1970-04-10")


def test_its_blocks_are_the_data_set_to_the_bit(
    elearning: Declaration, tmp_path: Path, write_archive: WriteArchive, activity: Activity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write_archive([activity(f"user-{number:03d}", 60.5 + number % 40) for number in range(300)])
    monkeypatch.setattr("training.day_snapshot.GROUP_ROWS", 64)
    found = snapshot(elearning, tmp_path)
    blocks = [found.read(group) for group in range(found.groups())]
    with DataSet(elearning, files(tmp_path / "archive"), tmp_path) as data:
        expected = data.snapshot(day_number(AS_OF), Sampling(population_only=True))
    assert found.groups() == 5
    assert [user for block in blocks for user in block.users.to_pylist()] == expected.users
    np.testing.assert_array_equal(np.concatenate([block.matrix for block in blocks]), expected.matrix)


@pytest.mark.usefixtures("history")
def test_the_size_of_the_data_sets_blocks_changes_no_byte(
    elearning: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = snapshot(elearning, tmp_path)
    before = contents(folder(tmp_path, "snapshots"))
    found.path.unlink()
    monkeypatch.setattr("training.dataset.BLOCK_USERS", 2)
    snapshot(elearning, tmp_path)
    assert contents(folder(tmp_path, "snapshots")) == before


@pytest.mark.usefixtures("history")
def test_later_days_do_not_change_it_and_late_events_do(
    elearning: Declaration, tmp_path: Path, activity: Activity
) -> None:
    first = snapshot(elearning, tmp_path)
    archive(tmp_path / "archive", [activity("new", 100.5)], partition=1)
    assert snapshot(elearning, tmp_path) == first
    archive(tmp_path / "archive", [activity("old", 98.5)], partition=2)
    assert snapshot(elearning, tmp_path).manifest.files != first.manifest.files
    assert len(contents(folder(tmp_path, "snapshots"))) == 2


@pytest.mark.usefixtures("history")
def test_another_label_marks_another_population(elearning: Declaration, tmp_path: Path) -> None:
    snapshot(elearning, tmp_path)
    shorter = replace(elearning, label=replace(elearning.label, horizon_days=7))
    assert snapshot(shorter, tmp_path).manifest.population == 1


@pytest.mark.usefixtures("history")
def test_what_cannot_be_read_is_built_again(elearning: Declaration, tmp_path: Path) -> None:
    first = snapshot(elearning, tmp_path)
    (folder(tmp_path, "snapshots") / "manifest.json").write_text("{}")
    assert snapshot(elearning, tmp_path) == first


@pytest.mark.usefixtures("history")
def test_an_archive_that_ends_too_early_is_refused(elearning: Declaration, tmp_path: Path) -> None:
    assert snapshot(elearning, tmp_path, AS_OF).manifest.users == 3
    with pytest.raises(DataError, match="the archive ends on 1970-04-10, users would look silent on 1970-04-12"):
        snapshot(elearning, tmp_path, AS_OF + timedelta(days=1))


@pytest.mark.usefixtures("history")
def test_a_midnight_before_the_archive_is_refused(elearning: Declaration, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the archive begins on 1970-03-11: nothing is known before 1970-03-01"):
        snapshot(elearning, tmp_path, date(1970, 3, 1))


def test_a_folder_without_a_snapshot_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no snapshot: manifest.json cannot be read \(No such file"):
        opened(tmp_path)


@pytest.mark.usefixtures("history")
def test_a_snapshot_that_is_replaced_under_a_reader_says_so(elearning: Declaration, tmp_path: Path) -> None:
    found = snapshot(elearning, tmp_path)
    found.path.unlink()
    with pytest.raises(OutageError, match="replaced by another run while it was read; run the command again"):
        found.read(0)
