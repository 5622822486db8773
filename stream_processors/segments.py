"""Writing one archive segment: a Parquet file per date, then the marker that makes them count."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.admission import Admitted
from churn.declaration import Declaration
from churn.errors import OutageError
from churn.events import Event
from churn.fault_points import passing
from churn.layout import DAY_US
from feature_repo.archive import MARKERS, Marker

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


class SegmentWriter:
    """Writes segments below one folder."""

    def __init__(self, archive_dir: Path, declaration: Declaration) -> None:
        self._folder = archive_dir
        self._measures = sorted({name for event in declaration.events.values() for name in event.measures})
        attributes = {register.attribute for register in declaration.registers.values() if register.attribute}
        self._attributes = sorted(attributes)

    def write(self, partition: int, start: int, end: int, batches: Sequence[Admitted]) -> None:
        """Write the events of offsets [start, end); readers see all of them or none.

        Raises:
            OutageError: the disk did not take it; write the segment again.
        """
        stem = f"{partition:04d}-{start:012d}-{end:012d}"
        try:
            written = [self._write_day(stem, partition, day, events) for day, events in by_day(batches)]
            marker = Marker([name for name, _ in written], sum(rows for _, rows in written))
            passing("archive.before_marker")
            self._place(f"{MARKERS}/{stem}.json", msgspec.json.encode(marker))
            passing("archive.after_marker")
        except OSError as error:
            raise OutageError(
                f"{self._folder}: segment {stem} cannot be written ({error.strerror or error}); free the disk, it is tried again"
            ) from error

    def _write_day(self, stem: str, partition: int, day: int, admitted: Admitted) -> tuple[str, int]:
        name = f"date={np.datetime64(day, 'D')}/{stem}.parquet"
        buffer = pa.BufferOutputStream()
        pq.write_table(self._table(partition, admitted), buffer, compression="zstd")
        self._place(name, buffer.getvalue())
        passing("archive.after_file")
        return name, len(admitted)

    def _place(self, name: str, data: Any) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            passing("archive.before_rename")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

    def _table(self, partition: int, admitted: Admitted) -> pa.Table:
        events = admitted.events
        columns = {
            "partition": pa.array(np.full(len(events), partition, np.int32)),
            "offset": pa.array(admitted.offsets),
            "event_id": pa.array([event.event_id for event in events], pa.string()),
            "user_id": pa.array([event.user_id for event in events], pa.string()),
            "event_type": pa.array([event.event_type for event in events], pa.string()),
            "occurred_at": pa.array(admitted.occurred_us).cast(UTC_MICROSECONDS),
            "arrived_at": pa.array(admitted.arrived_us).cast(UTC_MICROSECONDS),
        }
        for name in self._measures:
            # From the events: a type that does not declare the measure may do so later.
            values = [event.measures.get(name) if event.measures else None for event in events]
            columns[f"measure_{name}"] = pa.array(values, pa.float64())
        for name in self._attributes:
            texts = [event.attributes.get(name) if event.attributes else None for event in events]
            columns[f"attribute_{name}"] = pa.array(texts, pa.string())
        columns["extra"] = pa.array([self._extra(event) for event in events], pa.string())
        return pa.table(columns)

    def _extra(self, event: Event) -> str | None:
        """Keep what the declaration does not name yet, so that a later one can."""
        if not event.measures and not event.attributes:
            return None
        measures = {k: v for k, v in (event.measures or {}).items() if k not in self._measures}
        attributes = {k: v for k, v in (event.attributes or {}).items() if k not in self._attributes}
        if not measures and not attributes:
            return None
        return json.dumps({"measures": measures, "attributes": attributes})


def by_day(batches: Sequence[Admitted]) -> list[tuple[int, Admitted]]:
    """Return the events by UTC day number, in the order of their offsets within a day."""
    if not batches:
        return []
    together = Admitted.joined(batches)
    days = together.occurred_us // DAY_US
    return [(day, together.take(days == day)) for day in np.unique(days).tolist()]
