"""Read rows from a CSV, JSONL or Parquet file, one after the other, and say of each where it stands.

A row that cannot be read becomes a `BrokenRow`; reading goes on with the next one. Memory is bounded: one record of
a text file, one batch of a Parquet file.
"""

import csv
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.errors import DataError

MAX_LINE_BYTES = 1 << 20
BATCH_ROWS = 16_384
# Rows of a JSONL file differ in their keys: this many are looked at to know its columns.
SAMPLED_ROWS = 1_000
SHOWN_CHARS = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """One record: the line it starts on (its number in a Parquet file, from 1) and its values by column."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True)
class BrokenRow:
    """One record that cannot be used: where it stands (line, or row number of Parquet), why, and how it begins."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True)
class RowFile:
    """A file opened for reading: its columns, and its rows in file order (to be iterated once)."""

    unit: str
    columns: tuple[str, ...]
    rows: Iterator[Row | BrokenRow]


def read(path: Path, delimiter: str = ",") -> RowFile:
    """Open a `.csv`, `.jsonl`/`.ndjson` or `.parquet` file.

    Raises:
        DataError: the file is missing, empty, of another kind, has no usable header, or is no Parquet.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a .csv, .jsonl or .parquet file")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _csv_file(path, delimiter)
    if suffix in {".jsonl", ".ndjson"}:
        return _jsonl_file(path)
    if suffix == ".parquet":
        return _parquet_file(path)
    raise DataError(f"{path}: `{suffix}` files cannot be read; use .csv, .jsonl, .ndjson or .parquet")


class _Line(NamedTuple):
    number: int
    text: str
    defect: str


def _lines(file: BinaryIO) -> Iterator[_Line]:
    number = 0
    while raw := file.readline(MAX_LINE_BYTES):
        number += 1
        overlong = len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n")
        yield _line(number, raw, overlong)
        while overlong and (rest := file.readline(MAX_LINE_BYTES)):
            overlong = not rest.endswith(b"\n")


def _line(number: int, raw: bytes, overlong: bool) -> _Line:
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    if overlong:
        # Without its quotes the cut line cannot open a field that swallows the lines after it.
        start = raw[:SHOWN_CHARS].decode("utf-8", "replace").replace('"', "")
        return _Line(number, start, f"longer than {MAX_LINE_BYTES} bytes")
    try:
        return _Line(number, raw.decode("utf-8"), "")
    except UnicodeDecodeError as error:
        text = raw.decode("utf-8", "backslashreplace")
        return _Line(number, text, f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}")


class _Record:
    """Hand lines to csv.reader and remember those of the record being read, so that they can be read again."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self._again: list[_Line] = []
        self.lines: list[_Line] = []

    def __iter__(self) -> "_Record":
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._lines)
        self.lines.append(line)
        return line.text

    def reread_from_second_line(self) -> None:
        self._again.extend(reversed(self.lines[1:]))


def _csv_file(path: Path, delimiter: str) -> RowFile:
    with closing(_csv_records(path, delimiter)) as records:
        header = next(records, None)
    if header is None:
        raise DataError(f"{path}: empty; the first line must name the columns")
    if isinstance(header, BrokenRow):
        raise DataError(f"{path}: line {header.line} should name the columns but is {header.reason}")
    columns = [name.strip() for name in header[1]]
    if len(set(columns)) < len(columns) or not all(columns):
        raise DataError(f"{path}: line {header[0]} names a column twice or not at all: {columns}")
    # The file is opened again when rows are asked for, so that a mapping that does not fit leaves nothing open.
    return RowFile("line", tuple(columns), _named(columns, islice(_csv_records(path, delimiter), 1, None)))


_CsvRecord = tuple[int, list[str], _Record]


def _csv_records(path: Path, delimiter: str) -> Generator[_CsvRecord | BrokenRow, None, None]:
    with path.open("rb") as file:
        record = _Record(_lines(file))
        reader = csv.reader(record, delimiter=delimiter, strict=True)
        while True:
            record.lines = []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # A quote left open swallows good lines: only the first is given up, the others are read again.
                record.reread_from_second_line()
                reader = csv.reader(record, delimiter=delimiter, strict=True)
                yield _broken(record.lines[0], f"broken CSV: {error}")
                continue
            defect = next((line for line in record.lines if line.defect), None)
            if defect:
                yield _broken(record.lines[0], f"line {defect.number}: {defect.defect}")
            elif cells:
                yield record.lines[0].number, cells, record


def _named(columns: list[str], records: Iterator[_CsvRecord | BrokenRow]) -> Iterator[Row | BrokenRow]:
    width = len(columns)
    for item in records:
        if isinstance(item, BrokenRow):
            yield item
            continue
        line, cells, record = item
        if len(cells) == width:
            yield Row(line, dict(zip(columns, cells, strict=True)))
            continue
        yield _broken(record.lines[0], f"{len(cells)} columns where the header has {width}")
        record.reread_from_second_line()


def _broken(line: _Line, reason: str) -> BrokenRow:
    return BrokenRow(line.number, reason, line.text.rstrip("\r\n")[:SHOWN_CHARS])


def _jsonl_file(path: Path) -> RowFile:
    with closing(_json_rows(path)) as rows:
        sample = list(islice(rows, SAMPLED_ROWS))
    if not sample:
        raise DataError(f"{path}: empty; one JSON object a line is needed")
    columns = dict.fromkeys(chain.from_iterable(row.values for row in sample if isinstance(row, Row)))
    return RowFile("line", tuple(columns), _json_rows(path))


def _json_rows(path: Path) -> Generator[Row | BrokenRow, None, None]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        for line in _lines(file):
            if not line.text.strip():
                continue
            if line.defect:
                yield _broken(line, f"line {line.number}: {line.defect}")
                continue
            try:
                yield Row(line.number, decode(line.text))
            except msgspec.DecodeError as error:
                yield _broken(line, f"not a JSON object: {error}")


def _parquet_file(path: Path) -> RowFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
    return RowFile("row", tuple(file.schema_arrow.names), _parquet_rows(path, file))


def _parquet_rows(path: Path, file: Any) -> Iterator[Row | BrokenRow]:
    number = 0
    names = file.schema_arrow.names
    with file:
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for values in zip(*(_values(column) for column in batch.columns), strict=True):
                    number += 1
                    yield Row(number, dict(zip(names, values, strict=True)))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not readable after row {number}: {error}") from error


def _values(column: Any) -> list[Any]:
    kind = column.type
    if not pa.types.is_timestamp(kind):
        values: list[Any] = column.to_pylist()
        return values
    micros = pc.cast(column, pa.timestamp("us", kind.tz), safe=False)
    zone = UTC if kind.tz else None
    return [None if us is None else _moment(us, zone) for us in micros.cast(pa.int64()).to_pylist()]


def _moment(us: int, zone: Any) -> datetime | str:
    try:
        # A timestamp without zone stays without: the mapping says how to read it.
        return (EPOCH + timedelta(microseconds=us)).replace(tzinfo=zone)
    except OverflowError:
        # Left as text, so that this one row is reported as broken and not the whole batch.
        return f"{us} microseconds since 1970"
