"""The sample's events are followed segment by segment, each row once."""

from pathlib import Path

import pytest

from churn.errors import DataError
from churn.time_travel import Sample
from tests.churn.histories import DECLARATION, Happening, at
from tests.training.emitted import Streamed, stream
from training.sampled_events import SampledEvents

USERS = [f"user-{i}" for i in range(100)]


@pytest.fixture
def streamed() -> Streamed:
    """Return one event of each of 100 users, at the offsets 0 to 99."""
    return stream([Happening(user, "read", at(0, i), 1.0) for i, user in enumerate(USERS)], 100)


def opened(folder: Path, share: float) -> SampledEvents:
    return SampledEvents(DECLARATION, folder / "archive", Sample(share), folder)


def offsets(events: SampledEvents) -> list[int]:
    return [row[0] for row in events.database.execute('SELECT "offset" FROM sampled ORDER BY "offset"').fetchall()]


def test_sql_and_python_choose_the_same_users(streamed: Streamed, tmp_path: Path) -> None:
    streamed.archive(tmp_path / "archive")
    events = opened(tmp_path, 0.3)
    assert events.follow() == 1
    assert offsets(events) == Sample(0.3).rows(USERS)
    assert 0 < len(offsets(events)) < 100


def test_new_segments_are_read_and_old_ones_not_again(streamed: Streamed, tmp_path: Path) -> None:
    streamed.archive(tmp_path / "archive", 0, 40)
    events = opened(tmp_path, 1.0)
    assert (events.follow(), events.reach) == (1, {0: 40})
    streamed.archive(tmp_path / "archive", 40, 100)
    assert (events.follow(), events.reach) == (1, {0: 100})
    assert (events.follow(), offsets(events)) == (0, list(range(100)))


def test_of_overlapping_segments_each_offset_is_taken_once(streamed: Streamed, tmp_path: Path) -> None:
    streamed.archive(tmp_path / "archive", 0, 60)
    events = opened(tmp_path, 1.0)
    events.follow()
    for start, end in ((0, 50), (50, 70), (70, 100)):
        streamed.archive(tmp_path / "archive", start, end)
    assert (events.follow(), offsets(events)) == (2, list(range(100)))


def test_a_gap_is_waited_for(streamed: Streamed, tmp_path: Path) -> None:
    streamed.archive(tmp_path / "archive", 0, 10)
    streamed.archive(tmp_path / "archive", 20, 100)
    events = opened(tmp_path, 1.0)
    assert (events.follow(), events.reach) == (1, {0: 10})


def test_a_missing_file_is_named(streamed: Streamed, tmp_path: Path) -> None:
    streamed.archive(tmp_path / "archive")
    (file,) = (tmp_path / "archive").glob("date=*/*.parquet")
    file.unlink()
    with pytest.raises(DataError, match=file.name):
        opened(tmp_path, 1.0).follow()
