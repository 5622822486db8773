"""What one archived day looked like: how much came, of what, from whom, and what it carried."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.days import iso
from churn.declaration import Declaration, Measure
from churn.errors import DataError

MEASURE, ATTRIBUTE, EXTRA = "measure_", "attribute_", "extra"
FEW_VALUES = 32
"""A field of so many values at most is told value by value: prices, plans; not minutes."""
EXTRAS_READ = 20_000
"""Rows whose undeclared fields are looked into; enough to meet a field of one event in a thousand."""
HOUR_US = 3_600_000_000
TIRELESS_HOURS = 12
"""Whoever is active in so many hours of one day does not sleep, work or eat: a machine (see `quality`)."""
Mask = npt.NDArray[np.bool_]


class FieldFigures(msgspec.Struct, frozen=True):
    """A measure or an attribute on the events of one type.

    Attributes:
        missing: rows without it.
        values: rows of each value where they are few; empty otherwise.
        mean, deviation: of a measure; 0 for an attribute.
        at_limit: rows at the smallest or largest value that the declaration admits.
    """

    rows: int
    missing: int
    values: dict[str, int]
    mean: float = 0.0
    deviation: float = 0.0
    at_limit: int = 0


class DayFigures(msgspec.Struct, frozen=True):
    """One UTC day of accepted events, and how many were refused.

    Attributes:
        types: events of each declared type, 0 included.
        fields: by "event type.measure" and "event type.attribute".
        undeclared: rows of each field that the declaration does not name, by "event type.field".
        busiest: events of the user who has most.
        tireless: users who are active in TIRELESS_HOURS different hours or more.
    """

    day: int
    events: int
    users: int
    types: dict[str, int]
    fields: dict[str, FieldFigures]
    undeclared: dict[str, int]
    busiest: int
    tireless: int
    dead_letters: int = 0


def figures_of(declaration: Declaration, files: Sequence[Path], day: int, dead_letters: int = 0) -> DayFigures:
    """Return the figures of one UTC day; of the archive's `files` only that day's are read.

    Args:
        files: as `feature_repo.archive.files` lists them, in folders `date=YYYY-MM-DD`.
        dead_letters: events of that day which were refused; they are not in the archive.

    Raises:
        DataError: a file is damaged.
    """
    folder = f"date={iso(day)}"
    table = _table([path for path in files if path.parent.name == folder])
    kinds = np.array(table["event_type"].to_pylist(), dtype=object)
    names = [*declaration.events, *sorted(set(kinds.tolist()) - set(declaration.events))]
    by_type = {name: kinds == name for name in names}
    fields = {key: each for name, rows in by_type.items() for key, each in _fields(declaration, table, name, rows)}
    busiest, tireless = _busy(table)
    return DayFigures(
        day,
        len(table),
        len(pc.unique(table["user_id"])),
        {name: int(rows.sum()) for name, rows in by_type.items()},
        fields,
        _undeclared(table),
        busiest,
        tireless,
        dead_letters,
    )


def _table(paths: Sequence[Path]) -> pa.Table:
    tables = [_read(path) for path in paths]
    if tables:
        return pa.concat_tables(tables, promote_options="default")
    nothing = {"event_type": pa.string(), "user_id": pa.string(), "occurred_at": pa.timestamp("us", tz="UTC")}
    return pa.schema(list(nothing.items())).empty_table()


def _read(path: Path) -> pa.Table:
    wanted = ("event_type", "user_id", "occurred_at", EXTRA)
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            return file.read([name for name in names if name in wanted or name.startswith((MEASURE, ATTRIBUTE))])
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a Parquet file that can be read ({error}); restore it from a backup") from error


def _fields(declaration: Declaration, table: pa.Table, kind: str, rows: Mask) -> Iterator[tuple[str, FieldFigures]]:
    declared = declaration.events[kind].measures if kind in declaration.events else {}
    if not rows.any():
        return
    chosen = table.filter(pa.array(rows))
    for column in table.column_names:
        if column.startswith(ATTRIBUTE):
            yield f"{kind}.{column.removeprefix(ATTRIBUTE)}", _attribute(chosen[column])
        elif column.removeprefix(MEASURE) in declared:
            name = column.removeprefix(MEASURE)
            yield f"{kind}.{name}", _measure(chosen[column], declared[name])


def _attribute(column: pa.ChunkedArray) -> FieldFigures:
    return FieldFigures(len(column), column.null_count, _values(column.drop_null()))


def _measure(column: pa.ChunkedArray, declared: Measure) -> FieldFigures:
    present = column.drop_null()
    numbers = present.to_numpy()
    if not len(numbers):
        return FieldFigures(len(column), column.null_count, {})
    at_limit = int(((numbers <= declared.minimum) | (numbers >= declared.maximum)).sum())
    mean, deviation = float(numbers.mean()), float(numbers.std())
    return FieldFigures(len(column), column.null_count, _values(present), mean, deviation, at_limit)


def _values(present: pa.ChunkedArray) -> dict[str, int]:
    found = pc.value_counts(present)
    if len(found) > FEW_VALUES:
        return {}
    return {str(each["values"]): each["counts"] for each in sorted(found.to_pylist(), key=lambda each: each["values"])}


def _undeclared(table: pa.Table) -> dict[str, int]:
    if EXTRA not in table.column_names:
        return {}
    told = table.filter(pc.is_valid(table[EXTRA])).slice(0, EXTRAS_READ)
    found: Counter[str] = Counter()
    for kind, extra in zip(told["event_type"].to_pylist(), told[EXTRA].to_pylist(), strict=True):
        carried = json.loads(extra)
        found.update(f"{kind}.{name}" for part in ("measures", "attributes") for name in carried.get(part, {}))
    return dict(sorted(found.items()))


def _busy(table: pa.Table) -> tuple[int, int]:
    """Return the events of the busiest user, and how many are active in TIRELESS_HOURS hours or more."""
    if not len(table):
        return 0, 0
    user = table["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    hour = table["occurred_at"].cast(pa.int64()).to_numpy() // HOUR_US % 24
    hours = np.bincount(np.unique(user.astype(np.int64) * 24 + hour) // 24)
    return int(np.bincount(user).max()), int((hours >= TIRELESS_HOURS).sum())
