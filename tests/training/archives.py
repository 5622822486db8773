"""Archives as the archive worker writes them, made from events at hand."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from churn.events import Event


def archive(folder: Path, events: Sequence[Event], partition: int = 0, declared: bool = True) -> list[Path]:
    """Write events with the offsets 0, 1, ... of a partition as the archive worker does.

    What is not `declared` yet has no columns of its own and lies in `extra`.
    """
    numbered = sorted(enumerate(events), key=lambda pair: (pair[1].occurred_at.date(), pair[0]))
    name = f"{partition:04d}-{0:012d}-{len(events):012d}"
    files = [
        _write_day(folder, day, name, partition, list(rows), declared)
        for day, rows in groupby(numbered, key=lambda pair: pair[1].occurred_at.date())
    ]
    marker = folder / "_segments" / f"{name}.json"
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps({"files": [p.relative_to(folder).as_posix() for p in files], "rows": len(events)}))
    return files


def _write_day(
    folder: Path, day: date, name: str, partition: int, rows: list[tuple[int, Event]], declared: bool
) -> Path:
    events = [event for _, event in rows]
    named = events if declared else []
    measures = sorted({key for event in named for key in event.measures or {}})
    attributes = sorted({key for event in named for key in event.attributes or {}})
    times = pa.timestamp("us", tz="UTC")
    table = pa.table(
        {
            "partition": pa.array([partition] * len(rows), pa.int32()),
            "offset": pa.array([offset for offset, _ in rows], pa.int64()),
            "event_id": [event.event_id for event in events],
            "user_id": [event.user_id for event in events],
            "event_type": [event.event_type for event in events],
            "occurred_at": pa.array([event.occurred_at for event in events], times),
            "arrived_at": pa.array([event.occurred_at + timedelta(seconds=1) for event in events], times),
            **{f"measure_{m}": pa.array([(e.measures or {}).get(m) for e in events], pa.float64()) for m in measures},
            **{
                f"attribute_{a}": pa.array([(e.attributes or {}).get(a) for e in events], pa.string())
                for a in attributes
            },
            "extra": pa.array([None if declared else _extra(event) for event in events], pa.string()),
        }
    )
    path = folder / f"date={day.isoformat()}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def _extra(event: Event) -> str | None:
    if not event.measures and not event.attributes:
        return None
    return json.dumps({"measures": event.measures or {}, "attributes": event.attributes or {}})


def midnight(day: int) -> datetime:
    """Return the start of a UTC day number."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
