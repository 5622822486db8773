"""Snapshots come back as they were, or are refused with what to do."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from churn.errors import DataError
from training.delay_line import Position
from training.online import OnlineLearner
from training.snapshots import Snapshot, latest, save


def snapshot() -> Snapshot:
    """Return a learner of one feature after two rows, and a position."""
    learner = OnlineLearner(["a"], "v1")
    learner.learn(100, np.array([[1.0], [np.nan]], np.float32), np.array([True, False]))
    return Snapshot(learner.state(), {3: Position(5, 9, 100, 1, 2, {"ann"})})


def resaved(folder: Path, **changes: object) -> None:
    """Write a snapshot with other words in it, under the name that fits."""
    import hashlib

    data = msgspec.json.encode(msgspec.to_builtins(snapshot()) | changes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"0000000001-river-0-{hashlib.sha256(data).hexdigest()}.json").write_bytes(data)


def test_the_newest_of_three_comes_back(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path, number, snapshot())
    assert latest(tmp_path) == (4, snapshot())
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_kill_left_half_written_is_not_read_and_goes(tmp_path: Path) -> None:
    save(tmp_path, 1, snapshot())
    (tmp_path / "0000000002-river-0-abc.unfinished").write_bytes(b'{"model":')
    assert latest(tmp_path) == (1, snapshot())
    save(tmp_path, 2, snapshot())
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, 1, snapshot())
    path.write_bytes(path.read_bytes().replace(b'"rows":2', b'"rows":9'))
    with pytest.raises(DataError, match="not what its name says"):
        latest(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"river": "0.1.0"}, r"written by River 0\.1\.0, this is"),
        ({"format": 2}, "snapshot format 2, this program reads 3; move the file away to learn anew"),
        ({"model": {}}, "not a snapshot that this version can read"),
    ],
)
def test_a_snapshot_of_another_version_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    resaved(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        latest(tmp_path)


def test_an_empty_folder_holds_no_snapshot(tmp_path: Path) -> None:
    assert latest(tmp_path) is None


def test_a_copy_under_another_name_is_not_taken_for_the_newest(tmp_path: Path) -> None:
    path = save(tmp_path, 1, snapshot())
    path.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    assert latest(tmp_path) == (1, snapshot())
