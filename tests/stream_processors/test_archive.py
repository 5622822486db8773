"""The archive holds every accepted event once, however often its worker is killed."""

import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from churn.topics import ACTIVITY
from compose.processes import wait_until
from feature_repo.archive import files, segments
from tests.stream_processors.road import START, Road, event, history, road

EVENTS = 6000
SLICE = 200
FULL_BYTES = 8192
"""No file of the worker grows beyond it, as on a disk that fills up in the middle of a file; its log is shorter."""
BROKEN = ("u00001", b"not an event")
# A score is not declared of lessons: it is no part of any feature, and a later declaration may want it.
LESSON = event("u00001", "lesson_completed", START, "extra", minutes=12.345)
EXTRA = (LESSON[0], LESSON[1].replace(b'"minutes":', b'"score": 7.0, "minutes":'))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("archived"), CHURN_PARTITIONS="2") as found:
        yield found


def publish(under: Road) -> None:
    """Publish a history with 4 % duplicates, some of them far behind the first, and records that are no events."""
    events = history(users=100, days=10, per_day=EVENTS // 10)
    with under.publisher() as publisher:
        for start in range(0, EVENTS, SLICE):
            part = events[start : start + SLICE]
            publisher.publish_all([*part, *part[:4], *events[: 4 if start else 0], BROKEN])
            publisher.flush()
            time.sleep(0.5)  # the pace of the load
        publisher.publish_all([EXTRA, EXTRA])


def archived(under: Road) -> pa.Table:
    tables = [pq.read_table(path, partitioning=None) for path in files(under.settings.archive_dir)]
    return pa.concat_tables(tables) if tables else pa.table({"event_id": pa.array([], pa.string())})


def has_more_segments(under: Road, than: int) -> bool:
    return len(segments(under.settings.archive_dir)) > than


def test_a_worker_killed_again_and_again_archives_every_accepted_event_once(running: Road) -> None:
    load = threading.Thread(target=publish, args=(running,))
    load.start()
    for _ in range(2):
        running.stack.start_service("archive", wait=False)
        before = len(segments(running.settings.archive_dir))
        wait_until(partial(has_more_segments, running, before), 60, "a segment is finished")
        running.stack.supervisor.children["archive"].kill()
    running.stack.start_service("archive", wait=False)
    load.join()
    wait_until(lambda: archived(running).num_rows >= EVENTS + 1, 60, "all events are archived")
    counts = Counter(archived(running)["event_id"].to_pylist())
    assert set(counts.values()) == {1}
    assert set(counts) == {"extra", *(f"1-{n}" for n in range(EVENTS))}


def test_a_row_says_what_the_topic_says(running: Road) -> None:
    table = archived(running)
    (row,) = table.filter(pc.field("event_id") == "extra").to_pylist()
    first = min(m.offset() or 0 for m in running.read(ACTIVITY) if m.value() == EXTRA[1])
    assert (row["user_id"], row["event_type"], row["occurred_at"]) == ("u00001", "lesson_completed", START)
    assert (row["offset"], row["measure_minutes"], row["measure_score"], row["extra"]) == (first, 12.345, 7.0, None)


def test_files_lie_by_the_day_of_the_event(running: Road) -> None:
    days = {path.parent.name for path in files(running.settings.archive_dir)}
    assert days == {f"date=2026-01-{day:02d}" for day in range(1, 11)}


def test_a_worker_stopped_in_order_goes_on_where_it_was(running: Road) -> None:
    before = archived(running).num_rows
    running.stack.supervisor.children["archive"].stop()
    running.stack.start_service("archive")
    running.publish([event("late", "session_started", START, "last")])
    wait_until(lambda: archived(running).num_rows > before, 30, "one more event is archived")
    assert archived(running).num_rows == before + 1
    running.stack.check()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits the files of a running process")
def test_a_disk_that_takes_no_more_is_said_and_loses_nothing(running: Road) -> None:
    child = running.stack.supervisor.children["archive"]
    before, events = archived(running).num_rows, history(users=100, days=1, per_day=3000, seed=9)
    whole = resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, resource.RLIM_INFINITY))
    running.publish(events)
    wait_until(lambda: "cannot be written (File too large)" in str(running.reasons("archive")), 30, "it is said")
    assert running.metrics("archive")["churn_ready"] == 0
    running.publish([event("late", "session_started", START, "while full")])
    assert archived(running).num_rows == before
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, whole)
    wait_until(lambda: archived(running).num_rows == before + len(events) + 1, 30, "everything is archived, each once")
    assert running.reasons("archive") == []
    # A file that is being written is no remainder: a partition that is taken anew meanwhile is archived again.
    wait_until(lambda: list(running.settings.archive_dir.rglob(".*")) == [], 10, "no half file remains")
    running.stack.check()
