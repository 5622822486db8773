"""The archive read as a log: accepted events of a partition as records, in the order of their offsets."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from churn.errors import DataError
from churn.events import SCHEMA_VERSION, Event, encode
from churn.records import Record
from feature_repo.archive import Marker, Segment, chain, segments


def archived(archive_dir: Path, partition: int, below: int) -> Iterator[list[Record]]:
    """Yield the accepted events of offsets [0, below), segment by segment.

    Raises:
        DataError: a range of offsets is not in the archive.
    """
    for segment in _covering(archive_dir, partition, below):
        if segment.start < below:
            yield _records(archive_dir, segment, below)


def _covering(archive_dir: Path, partition: int, below: int) -> list[Segment]:
    found = [segment for segment in segments(archive_dir) if segment.partition == partition]
    path = chain(found) if found else []
    start, end = (path[0].start, path[-1].end) if path else (0, 0)
    if start > 0 or end < below:
        missing = f"before offset {start}" if start > 0 else f"from offset {end} to {below}"
        raise DataError(
            f"{archive_dir}: events of partition {partition} {missing} are neither in the archive nor on the topic any more;"
            " the state cannot be built exactly: bring the archive's files back, or start under another"
            " CHURN_TOPIC_PREFIX"
        )
    return path


def _records(archive_dir: Path, segment: Segment, below: int) -> list[Record]:
    marker = msgspec.json.decode(segment.marker.read_bytes(), type=Marker)
    records = [record for name in marker.files for record in _rows(archive_dir / name)]
    return sorted((record for record in records if record.offset < below), key=lambda record: record.offset)


def _rows(path: Path) -> Iterator[Record]:
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: named by its segment's marker, but not readable: {error}") from error
    arrived_us = table.column("arrived_at").cast(pa.int64()).to_pylist()
    for row, arrived in zip(table.to_pylist(), arrived_us, strict=True):
        yield Record(row["offset"], arrived, row["user_id"].encode(), encode(_event(row)))


def _event(row: Mapping[str, Any]) -> Event:
    """Return the event of a row; what was not declared when it was archived lies in `extra`."""
    extra = json.loads(row["extra"]) if row["extra"] else {}
    measures = _named(row, "measure_") | extra.get("measures", {})
    attributes = _named(row, "attribute_") | extra.get("attributes", {})
    return Event(
        row["event_id"], row["user_id"], row["event_type"], row["occurred_at"], SCHEMA_VERSION,
        measures or None, attributes or None,
    )  # fmt: skip


def _named(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix) and value is not None
    }
