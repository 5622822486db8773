"""Rows know their line, and a broken one never takes its neighbours with it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.errors import DataError
from producers.rows import MAX_LINE_BYTES, BrokenRow, Row, read


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def told(path: Path) -> list[tuple[int, object]]:
    """Return (line, values of a row or reason of a broken one)."""
    rows = read(path).rows
    return [(r.line, r.reason if isinstance(r, BrokenRow) else list(r.values.values())) for r in rows]


def test_a_quoted_newline_counts_as_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,"x\ny"\n2,z\n')
    assert told(path) == [(2, ["1", "x\ny"]), (4, ["2", "z"])]


def test_an_open_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,x\n2,"y\n3,z\n4,w\n')
    assert told(path) == [
        (2, ["1", "x"]),
        (3, "broken CSV: unexpected end of data"),
        (4, ["3", "z"]),
        (5, ["4", "w"]),
    ]


def test_two_open_quotes_cost_their_own_lines_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,"x\n2,y\n3,"z\n4,w\n')
    assert [(line, found) for line, found in told(path) if isinstance(found, list)] == [
        (3, ["2", "y"]),
        (5, ["4", "w"]),
    ]


def test_text_after_a_closing_quote_is_broken(tmp_path: Path) -> None:
    assert told(write(tmp_path / "a.csv", 'a,b\n1,"x"y\n2,z\n')) == [
        (2, "broken CSV: ',' expected after '\"'"),
        (3, ["2", "z"]),
    ]


def test_a_wrong_column_count_is_broken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b\n1\n2,x,y\n3,z\n")
    assert told(path) == [
        (2, "1 columns where the header has 2"),
        (3, "3 columns where the header has 2"),
        (4, ["3", "z"]),
    ]


def test_bytes_that_are_not_utf8_are_broken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n1,caf\xe9\n2,caf\xc3\xa9\n")
    assert told(path) == [(2, "line 2: not UTF-8: byte 0xe9 at position 6"), (3, ["2", "café"])]


def test_an_overlong_line_is_broken_and_skipped_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,"' + "x" * (2 * MAX_LINE_BYTES) + '"\n2,z\n')
    assert told(path) == [(2, f"line 2: longer than {MAX_LINE_BYTES} bytes"), (3, ["2", "z"])]


def test_byte_order_mark_crlf_and_blank_lines_are_no_content(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbfa,b\r\n1,x\r\n\r\n2,y")
    assert read(path).columns == ("a", "b")
    assert told(path) == [(2, ["1", "x"]), (4, ["2", "y"])]


def test_a_line_that_is_no_json_object_is_broken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n{"a": \n[1]\n\n{"b": 2}\n')
    found = told(path)
    assert [line for line, _ in found] == [1, 2, 3, 5]
    assert str(found[1][1]).startswith("not a JSON object: Input data was truncated")
    assert str(found[2][1]).startswith("not a JSON object: Expected `object`, got `array`")
    assert read(path).columns == ("a", "b")


def test_no_row_is_lost_after_the_sampled_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "".join(json.dumps({"n": n}) + "\n" for n in range(2500)))
    assert [row.values["n"] for row in read(path).rows if isinstance(row, Row)] == list(range(2500))


def test_parquet_rows_have_numbers_and_times_keep_their_zone(tmp_path: Path) -> None:
    at = datetime(2026, 1, 5, 10, tzinfo=UTC)
    columns = {
        "u": ["a", "b"],
        "t": pa.array([at, None], pa.timestamp("ns", "UTC")),
        "n": [at.replace(tzinfo=None)] * 2,
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert told(tmp_path / "a.parquet") == [
        (1, ["a", at, at.replace(tzinfo=None)]),
        (2, ["b", None, at.replace(tzinfo=None)]),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "empty; the first line must name the columns"),
        ("a.csv", "a,a\n", "names a column twice"),
        ("a.csv", b"\xff\xfea\x00", "line 1 should name the columns but is line 1: not UTF-8"),
        ("a.jsonl", "", "one JSON object a line"),
        ("a.parquet", "no parquet", "not a readable Parquet file"),
        ("a.xlsx", "", "`.xlsx` files cannot be read; use .csv"),
    ],
)
def test_an_unusable_file_is_named(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / name, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"away\.csv: no such file"):
        read(tmp_path / "away.csv")
