"""What is kept of archived days changes no byte of what a training reads, and is made anew when it cannot be trusted."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from churn.declaration import Declaration
from churn.events import Event
from churn.layout import layout_of
from tests.training.archives import archive, midnight
from training import day_counts
from training.day_cache import CHUNK_DAYS, DayCache
from training.day_counts import DayCounts
from training.profile import profile_of

Read = Callable[[Sequence[Path]], list[object]]
PLANS = ("free", "pro", "gold")


def events(first_day: int, last_day: int, count: int = 300) -> list[Event]:
    """Return lessons, spread over these days, and one event of a type that nobody declared."""
    days = [first_day + n % (last_day - first_day + 1) for n in range(count)]
    lessons = [
        Event(
            f"e{first_day}-{n}", f"user-{n * 7 % 30:02d}", "lesson_completed", midnight(day), 1,
            {"minutes": n / 8}, {"plan": PLANS[n % 3]},
        )
        for n, day in enumerate(days)
    ]  # fmt: skip
    return [*lessons, Event(f"odd-{first_day}", "stranger", "newsletter_read", midnight(first_day), 1)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return where what is known of days is kept."""
    return tmp_path / "cache"


@pytest.fixture
def read(elearning: Declaration, tmp_path: Path, cache: Path) -> Read:
    """Return what tells everything that a training reads of these files by the cache."""
    return lambda files: told(elearning, files, tmp_path, cache)


def told(declaration: Declaration, files: Sequence[Path], scratch: Path, cache_dir: Path | None) -> list[object]:
    layout = layout_of(declaration)
    counts = DayCounts(layout, files, scratch, cache=DayCache(cache_dir, layout) if cache_dir else None)
    rows = [column.tolist() for column in vars(counts.rows(0, len(counts.users))).values()]
    pairs = counts.active_pairs([30, 60], 30)
    facts = [counts.users, counts.observed_until.tolist(), counts.first_day, counts.last_day, counts.events]
    counts.close()
    return [*rows, *facts, pairs, profile_of(declaration, files, cache_dir=cache_dir)]


@pytest.mark.parametrize("viewed_users", [day_counts.VIEWED_USERS, 0])
def test_what_is_read_by_the_cache_is_what_the_archive_says(
    elearning: Declaration, tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, viewed_users: int
) -> None:
    monkeypatch.setattr(day_counts, "VIEWED_USERS", viewed_users)
    late = archive(tmp_path / "archive", events(20, 40), partition=1)
    files = [*archive(tmp_path / "archive", events(0, 70)), *late]
    plain = told(elearning, files, tmp_path, None)
    assert read(files) == plain
    assert read(files) == plain
    assert len(list((tmp_path / "cache").iterdir())) == 71 // CHUNK_DAYS + 1


def test_days_that_are_kept_are_not_read_again(tmp_path: Path, read: Read) -> None:
    files = archive(tmp_path / "archive", events(0, 40))
    before = read(files)
    for path in files:
        spoil(path)
    assert read(files) == before


def test_a_new_file_of_an_old_day_counts(elearning: Declaration, tmp_path: Path, read: Read) -> None:
    files = archive(tmp_path / "archive", events(0, 40))
    read(files)
    more = [*files, *archive(tmp_path / "archive", events(5, 6, 8), partition=2)]
    assert read(more) == told(elearning, more, tmp_path, None)


def test_a_file_written_anew_counts(elearning: Declaration, tmp_path: Path, read: Read) -> None:
    read(archive(tmp_path / "archive", events(0, 40)))
    files = archive(tmp_path / "archive", events(0, 40, 299))
    assert read(files) == told(elearning, files, tmp_path, None)


@pytest.mark.parametrize("part", ["counts.parquet", "seen.parquet", "profile.msgpack", "chunk.json"])
def test_what_is_damaged_is_made_anew(tmp_path: Path, cache: Path, read: Read, part: str) -> None:
    files = archive(tmp_path / "archive", events(0, 40))
    before = read(files)
    damaged = sorted(cache.glob(f"*/{part}"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert read(files) == before
    assert read(files) == before


def test_another_declaration_finds_nothing_of_the_first_ones(
    elearning: Declaration, tmp_path: Path, cache: Path
) -> None:
    files = archive(tmp_path / "archive", events(0, 40))
    told(elearning, files, tmp_path, cache)
    first = DayCache(cache, layout_of(elearning)).chunks(files)
    fewer = {name: event for name, event in elearning.events.items() if name != "refund_issued"}
    other = DayCache(cache, layout_of(replace(elearning, events=fewer))).chunks(files)
    assert [chunk.source for chunk in other] != [chunk.source for chunk in first]
    assert [chunk.folder for chunk in other] == [chunk.folder for chunk in first]


def test_another_horizon_shares_what_is_kept(elearning: Declaration, tmp_path: Path, cache: Path) -> None:
    files = archive(tmp_path / "archive", events(0, 40))
    week = layout_of(elearning.with_horizon(7))
    assert DayCache(cache, week).chunks(files) == DayCache(cache, layout_of(elearning)).chunks(files)


def test_files_outside_of_days_are_not_kept(elearning: Declaration, tmp_path: Path, cache: Path) -> None:
    elsewhere = tmp_path / "events.parquet"
    archive(tmp_path / "archive", events(3, 3))[0].rename(elsewhere)
    assert DayCache(cache, layout_of(elearning)).chunks([elsewhere]) == []


def spoil(path: Path) -> None:
    """Make a file unreadable that looks the same from outside."""
    before = path.stat()
    path.write_bytes(bytes(np.zeros(before.st_size, np.uint8)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
