"""An import publishes what can be used in the order of time and reports the rest, row by row."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.declaration import parse
from churn.errors import InputError
from churn.events import decode
from producers import spool
from producers.importing import import_log
from producers.pacing import Pace

HEADER = "event_id,user_id,event_type,occurred_at,measure_amount\n"
SHOP = Path("feature_repo/declarations/purchases.yaml")


class Sink:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bytes]] = []

    def publish(self, user_id: str, value: bytes) -> None:
        self.events.append((user_id, value))

    def ids(self) -> list[str]:
        return [decode(value).event_id for _, value in self.events]


@pytest.fixture
def sink() -> Sink:
    return Sink()


def log(tmp_path: Path, rows: str) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


def test_a_row_is_published_in_the_contract_keyed_by_its_user(tmp_path: Path, sink: Sink) -> None:
    import_log(log(tmp_path, "e1,u1,purchase,2026-01-05T10:00:00Z,9.5\n"), sink.publish)
    assert sink.events == [
        (
            "u1",
            b'{"event_id":"e1","user_id":"u1","event_type":"purchase","occurred_at":"2026-01-05T10:00:00Z",'
            b'"schema_version":1,"measures":{"amount":9.5}}',
        )
    ]


def test_a_file_out_of_order_is_sorted_and_equal_times_keep_their_order(tmp_path: Path, sink: Sink) -> None:
    rows = "c,u,x,2026-01-03,\na,u,x,2026-01-01,\nd,u,x,2026-01-03,\nb,u,x,2026-01-02,\n"
    report = import_log(log(tmp_path, rows), sink.publish)
    assert sink.ids() == ["a", "b", "c", "d"]
    assert (report.in_order, report.first) == (False, datetime(2026, 1, 1, tzinfo=UTC))


def test_sorting_works_over_many_blocks(tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "BLOCK_ROWS", 7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    days = [(n * 37) % 101 for n in range(101)]
    rows = "".join(f"e{day},u,x,{(start + timedelta(days=day)).isoformat()},\n" for day in days)
    import_log(log(tmp_path, rows), sink.publish)
    assert sink.ids() == [f"e{day}" for day in range(101)]


def test_every_broken_row_is_reported_with_its_line_and_counted(tmp_path: Path, sink: Sink) -> None:
    rows = 'e1,u1,x,2026-01-05,1\ne2,,x,2026-01-05,1\ne3,u1,x,soon,1\ne4,u1,x,2026-01-05,one\ne5,u1\ne6,"u1,x\ne7,u1,x,2026-01-06,1\n'
    report = import_log(log(tmp_path, rows), sink.publish, rejects=tmp_path / "rejects.jsonl")
    assert sink.ids() == ["e1", "e7"]
    assert (report.read, report.accepted, report.broken, report.published) == (7, 2, 5, 2)
    assert [row.line for row in report.first_broken] == [3, 4, 5, 6, 7]
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [(r["line"], r["reason"]) for r in rejects][:2] == [
        (3, "user_id: column `user_id` is empty"),
        (4, "occurred_at: 'soon' in column `occurred_at` is no time of format iso"),
    ]


def test_the_summary_lists_the_first_broken_rows_and_counts_the_others(tmp_path: Path, sink: Sink) -> None:
    report = import_log(log(tmp_path, "e,u,x,never,\n" * 25), sink.publish)
    lines = report.lines()
    assert lines[0] == f"{tmp_path}/log.csv: 25 rows read, 0 events published"
    assert lines[1] == "25 broken rows were not published (line number after the file name):"
    assert lines[2].startswith(f"  {tmp_path}/log.csv:2: occurred_at: 'never'")
    assert lines[-1] == "  ... and 5 more; all are in the rejects file, if you name one"


def test_importing_again_gives_the_same_ids_in_every_format(tmp_path: Path) -> None:
    rows = [{"user_id": "u1", "event_type": "x", "occurred_at": "2026-01-05T10:00:00Z"}] * 2
    (tmp_path / "a.csv").write_text("user_id,event_type,occurred_at\n" + "u1,x,2026-01-05T10:00:00Z\n" * 2)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    sinks = [Sink() for _ in range(4)]
    for name, into in zip(("a.csv", "a.csv", "a.jsonl", "a.parquet"), sinks, strict=True):
        import_log(tmp_path / name, into.publish)
    assert len(set(sinks[0].ids())) == 2
    assert [s.events for s in sinks[1:]] == [sinks[0].events] * 3


def test_parquet_rows_are_reported_by_number(tmp_path: Path, sink: Sink) -> None:
    columns = {"user_id": ["a", None], "event_type": ["x", "x"], "occurred_at": [datetime(2026, 1, 5, tzinfo=UTC)] * 2}
    pq.write_table(pa.table(columns | {"measures": [{"n": 1.5}, {"n": 2.5}]}), tmp_path / "a.parquet")
    report = import_log(tmp_path / "a.parquet", sink.publish)
    assert decode(sink.events[0][1]).measures == {"n": 1.5}
    assert [(report.unit, row.line, row.reason) for row in report.first_broken] == [
        ("row", 2, "user_id: column `user_id` is empty")
    ]


def test_a_mapping_reads_somebody_elses_columns(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "receipts.csv").write_text("receipt;customer;sold_at;total;country\nR1;c17;05.01.2026 18:30;49.90;AT\n")
    import_log(
        tmp_path / "receipts.csv",
        sink.publish,
        mapping=Path("feature_repo/declarations/examples/purchases_mapping.yaml"),
    )
    assert sink.events[0][1] == (
        b'{"event_id":"R1","user_id":"c17","event_type":"purchase","occurred_at":"2026-01-05T17:30:00Z",'
        b'"schema_version":1,"measures":{"amount":49.9},"attributes":{"country":"AT"}}'
    )


def test_events_that_the_declaration_would_refuse_are_counted(tmp_path: Path, sink: Sink) -> None:
    rows = "e1,u,purchase,2026-01-05,1\ne2,u,purchase,2026-01-05,\ne3,u,purchase,2026-01-05,-1\ne4,u,viewed,2026-01-05,\ne5,u,purchase,1969-12-31,1\n"
    report = import_log(log(tmp_path, rows), sink.publish, declaration=parse(SHOP.read_text(), "shop"))
    assert report.published == 5
    assert dict(report.undeclared) == {
        "purchase without measure amount": 1,
        "purchase with measure amount outside 0 to 1e+06": 1,
        "event type viewed is not declared": 1,
        "a time before 1970": 1,
    }


def test_a_live_replay_waits_for_the_time_of_each_event(tmp_path: Path, sink: Sink) -> None:
    clock, published_at = [0.0], []

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    rows = "a,u,x,2026-01-01,\nb,u,x,2026-01-02,\nc,u,x,2026-01-04,\n"
    pace = Pace(86_400, lambda: clock[0], sleep)
    import_log(log(tmp_path, rows), lambda _user, _value: published_at.append(clock[0]), pace=pace)
    assert published_at == [0.0, 1.0, 3.0]


def test_shifted_events_keep_their_ids(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "a.csv").write_text("user_id,event_type,occurred_at\nu1,x,2026-01-05T10:00:00Z\n")
    for days in (0, 30):
        import_log(tmp_path / "a.csv", sink.publish, shift=timedelta(days=days))
    first, second = (decode(value) for _, value in sink.events)
    assert second.occurred_at - first.occurred_at == timedelta(days=30)
    assert first.event_id == second.event_id


def test_progress_is_told_and_temporary_files_are_removed(tmp_path: Path, sink: Sink) -> None:
    told: list[tuple[str, int]] = []
    (tmp_path / "spool").mkdir()
    rows = "e,u,x,2026-01-05,\n" * 10_001
    import_log(
        log(tmp_path, rows),
        sink.publish,
        spool_dir=tmp_path / "spool",
        progress=lambda phase, n: told.append((phase, n)),
    )
    assert told == [("read", 10_000), ("read", 10_001), ("published", 10_000), ("published", 10_001)]
    assert list((tmp_path / "spool").iterdir()) == []


def test_missing_columns_and_mappings_are_named(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "a.csv").write_text("who,when\nu1,now\n")
    with pytest.raises(InputError, match=r"no column event_type, occurred_at, user_id; the file has who, when"):
        import_log(tmp_path / "a.csv", sink.publish)
    with pytest.raises(InputError, match=r"m\.yaml: the mapping cannot be read"):
        import_log(tmp_path / "a.csv", sink.publish, mapping=tmp_path / "m.yaml")
