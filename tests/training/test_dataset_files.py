"""Snapshots as files: typed columns, nulls for what is missing, and a folder that is there whole or not at all."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from churn.declaration import Declaration
from churn.errors import InputError
from training import dataset_files
from training.dataset import Snapshot
from training.dataset_files import Unfinished, write_parts


def part(declaration: Declaration, day: int, users: list[str]) -> Snapshot:
    matrix = np.full((len(users), len(declaration.features)), np.nan, np.float32)
    matrix[:, 0] = day
    yes = np.ones(len(users), np.bool_)
    return Snapshot(day, users, matrix, yes, ~yes, ~yes, np.full(len(users), 3, np.int32))


def test_rows_carry_user_midnight_features_and_label(elearning: Declaration, tmp_path: Path) -> None:
    assert write_parts(tmp_path, elearning, [part(elearning, 30, ["ann", "bob"]), part(elearning, 37, ["ann"])]) == 3
    table = pq.read_table(tmp_path)
    first, second = elearning.feature_names[:2]
    assert table.column_names == [
        "user_id", "as_of", *elearning.feature_names, "population", "known", "churned", "silent_days",
    ]  # fmt: skip
    assert table.select(["user_id", "as_of", first, second, "population", "known", "silent_days"]).to_pylist()[2] == {
        "user_id": "ann", "as_of": date(1970, 2, 7), first: 37.0, second: None,
        "population": True, "known": False, "silent_days": 3,
    }  # fmt: skip


def test_files_are_of_a_bounded_size(elearning: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_files, "FILE_ROWS", 2)
    assert write_parts(tmp_path, elearning, [part(elearning, day, ["ann"]) for day in range(5)]) == 5
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [f"part-0000{n}.parquet" for n in range(3)]
    assert [pq.read_metadata(path).num_rows for path in files] == [2, 2, 1]


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with Unfinished(tmp_path / "rows") as place:
        (place / "a").write_text("a")
        assert not (tmp_path / "rows").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]
    with pytest.raises(InputError, match="is there already"):
        Unfinished(tmp_path / "rows")


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Unfinished(tmp_path / "rows") as place:
        (place / "a").write_text(str(1 / 0))
    assert list(tmp_path.iterdir()) == []
