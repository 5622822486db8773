"""Segments that overlap after a crash are read once; a missing range or file is named."""

import json
from pathlib import Path

import pytest

from churn.errors import DataError
from feature_repo.archive import Segment, chain, files


def segments(*ranges: tuple[int, int]) -> list[Segment]:
    return [Segment(3, start, end, Path("archive/_segments/x.json")) for start, end in ranges]


def chosen(*ranges: tuple[int, int]) -> list[tuple[int, int]]:
    return [(segment.start, segment.end) for segment in chain(segments(*ranges))]


def written(folder: Path, start: int, end: int, partition: int = 0) -> Path:
    """Write the marker and the empty file of a segment."""
    stem = f"{partition:04d}-{start:012d}-{end:012d}"
    path = folder / "date=2026-01-01" / f"{stem}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    marker = folder / "_segments" / f"{stem}.json"
    marker.parent.mkdir(exist_ok=True)
    marker.write_text(json.dumps({"files": [path.relative_to(folder).as_posix()], "rows": 1}))
    return path


def test_segments_that_follow_each_other_are_all_read() -> None:
    assert chosen((10, 20), (0, 10), (20, 25)) == [(0, 10), (10, 20), (20, 25)]


def test_a_replayed_range_is_read_once() -> None:
    assert chosen((0, 10), (0, 15), (10, 20)) == [(0, 10), (10, 20)]


def test_a_longer_segment_without_a_successor_is_left_out() -> None:
    assert chosen((0, 10), (10, 18), (10, 12), (12, 30)) == [(0, 10), (10, 12), (12, 30)]


def test_an_archive_may_begin_after_the_first_offset() -> None:
    assert chosen((100, 200), (200, 300)) == [(100, 200), (200, 300)]


def test_a_gap_is_named() -> None:
    with pytest.raises(DataError, match="partition 3 has a gap below offset 30"):
        chosen((0, 10), (20, 30))


def test_files_without_a_marker_do_not_count(tmp_path: Path) -> None:
    first = written(tmp_path, 0, 10)
    (tmp_path / "date=2026-01-01" / "0000-000000000010-000000000020.parquet").touch()
    assert files(tmp_path) == [first]


def test_partitions_are_chained_apart(tmp_path: Path) -> None:
    paths = [written(tmp_path, 0, 10), written(tmp_path, 50, 60, partition=1)]
    assert files(tmp_path) == paths


def test_a_file_that_a_marker_names_must_be_there(tmp_path: Path) -> None:
    written(tmp_path, 0, 10).unlink()
    with pytest.raises(DataError, match=r"0000-000000000000-000000000010\.parquet: named by its segment's marker"):
        files(tmp_path)


def test_no_archive_holds_nothing(tmp_path: Path) -> None:
    assert files(tmp_path / "away") == []
