"""Archived events reduced to one row per user and day, by DuckDB, in the integer units of the stream.

Everything a vector needs follows from these rows: tiles, lifetime totals, first and last days, registers, labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from churn.declaration import ACTIVITY_COUNTER, Register
from churn.errors import DataError
from churn.layout import CODE_BITS, DAY_US, Increment, Int32s, Int64s, Layout
from churn.slab import OTHER_CODE

MEMORY_LIMIT = "2GB"
"""Beyond it DuckDB sorts and aggregates on disk, in the scratch folder."""


@dataclass(frozen=True)
class DayRows:
    """One row per user and day, ordered by day: `users` counts from 0 within the block."""

    users: npt.NDArray[np.intp]
    days: Int64s
    units: Int64s
    fed: npt.NDArray[np.bool_]
    registers: Int64s


class DayCounts:
    """The archive by user and day.

    Attributes:
        users: all users, ordered by their UTF-8 bytes.
        observed_until: per user the first day that is not wholly in the archive: the day of the latest event of
            the user's partition. A partition whose archive lags behind must not make its users look silent.
        first_day, last_day: UTC days of the earliest and latest event.
        events: how many events were read.
    """

    def __init__(self, layout: Layout, files: Sequence[Path], scratch: Path) -> None:
        """Read the files and reduce them.

        Raises:
            DataError: there is no event in them.
        """
        self._layout = layout
        self._database = duckdb.connect()
        self._database.execute("SET memory_limit = ?", [MEMORY_LIMIT])
        self._database.execute("SET temp_directory = ?", [str(scratch)])
        self._database.execute("SET preserve_insertion_order = false")
        self._reduce(files)
        found = self._database.execute("SELECT user_id, observed_until FROM users ORDER BY number").fetchnumpy()
        self.users: list[str] = [str(user) for user in found["user_id"]]
        self.observed_until: Int32s = np.asarray(found["observed_until"], np.int32)
        ends = self._database.execute("SELECT min(day), max(day), sum(events) FROM days").fetchall()[0]
        self.first_day, self.last_day, self.events = int(ends[0]), int(ends[1]), int(ends[2])

    def _reduce(self, files: Sequence[Path]) -> None:
        if not files:
            raise DataError("the archive holds no events; publish some and wait for the archive worker to flush them")
        columns = {name for name, *_ in self._database.execute(f"DESCRIBE {events_of(files)}").fetchall()}
        self._database.execute(
            f"CREATE TABLE days AS {by_key_and_day(self._layout, 'user_id', events_of(files), columns)}"
        )
        if not self._database.execute("SELECT count(*) FROM days").fetchall()[0][0]:
            raise DataError(
                f"no event in the archive is of a declared type; declared are {list(self._layout.event_types)}"
            )
        self._database.execute(USERS)
        self._database.execute(
            "CREATE TABLE counts AS SELECT number, days.* FROM days JOIN users USING (user_id) ORDER BY number, day"
        )

    def rows(self, start: int, stop: int) -> DayRows:
        """Return the rows of users start to stop."""
        query = "SELECT * FROM counts WHERE number >= ? AND number < ? ORDER BY day, number"
        return day_rows(self._layout, self._database.execute(query, [start, stop]).fetchnumpy(), start)

    def blocks(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield start and stop of blocks of users."""
        for start in range(0, len(self.users), size):
            yield start, min(start + size, len(self.users))

    def active_pairs(self, as_of_days: Sequence[int], horizon_days: int) -> int:
        """Return how many (user, snapshot) pairs have an activity in the horizon before the snapshot."""
        activity = f"fed_{self._layout.counter(ACTIVITY_COUNTER)}"
        query = f"""SELECT count(*) FROM (SELECT DISTINCT number, as_of FROM counts, (SELECT unnest(?::INTEGER[]) AS as_of)
            WHERE {activity} AND day < as_of AND day >= as_of - ?)"""  # noqa: S608  # a column number of ours, no outside text
        return int(self._database.execute(query, [list(as_of_days), horizon_days]).fetchall()[0][0])

    def close(self) -> None:
        """Free memory and scratch files."""
        self._database.close()


USERS = """CREATE TABLE users AS
    SELECT user_id, last.observed_until, row_number() OVER (ORDER BY user_id) - 1 AS number
    FROM (SELECT user_id, max(partition) AS partition FROM days GROUP BY user_id)
    JOIN (SELECT partition, max(day) AS observed_until FROM days GROUP BY partition) AS last USING (partition)"""


def day_rows(layout: Layout, found: Mapping[str, Any], start: int = 0) -> DayRows:
    """Return rows of `by_key_and_day` as arrays; the column `number` says whose they are and counts from `start`."""
    counters, registers = len(layout.counters), len(layout.registers)
    count = len(found["number"])
    return DayRows(
        (np.asarray(found["number"], np.int64) - start).astype(np.intp),
        np.asarray(found["day"], np.int64),
        _stack([found[f"units_{c}"] for c in range(counters)], count),
        _stack([found[f"fed_{c}"] for c in range(counters)], count).astype(np.bool_),
        _stack([found[f"register_{r}"] for r in range(registers)], count),
    )


def _stack(columns: Sequence[npt.ArrayLike], rows: int) -> Int64s:
    if not columns:
        return np.zeros((rows, 0), np.int64)
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)


def events_of(files: Sequence[Path]) -> str:
    """Return the query of all events of archive files."""
    listed = ", ".join(_text(str(path)) for path in files)
    return f"SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"  # noqa: S608  # `_text` quotes the paths


def by_key_and_day(layout: Layout, key: str, events: str, columns: set[str]) -> str:
    """Return the query that reduces `events`, a query with these columns, to one row per key and UTC day."""
    parts = [
        key,
        f"(epoch_us(occurred_at) // {DAY_US})::INTEGER AS day",
        "max(partition) AS partition",
        "count(*) AS events",
        *(_units(layout, number, columns) for number in range(len(layout.counters))),
        *(_fed(layout, number) for number in range(len(layout.counters))),
        *(_register(r, number, columns) for number, r in enumerate(layout.declaration.registers.values())),
    ]
    known = ", ".join(_text(name) for name in layout.event_types)
    return f"SELECT {', '.join(parts)} FROM ({events}) WHERE event_type IN ({known}) GROUP BY ALL"  # noqa: S608  # `_text` and `_name` quote what the declaration names


def _units(layout: Layout, counter: int, columns: set[str]) -> str:
    cases = []
    for event, increments in zip(layout.event_types, layout.increments, strict=True):
        added = [_added(increment, columns) for increment in increments if increment.counter == counter]
        cases += [f"WHEN {_text(event)} THEN {units}" for units in added]
    summed = f"sum(CASE event_type {' '.join(cases)} ELSE 0 END)" if cases else "0"
    return f"{summed}::BIGINT AS units_{counter}"


def _added(increment: Increment, columns: set[str]) -> str:
    if not increment.measure:
        return str(increment.units)
    value = f"coalesce(TRY_CAST({_entry('measure', increment.measure, columns)} AS DOUBLE), 0.0)"
    # DuckDB's cast rounds half to even, as numpy's rint does in the stream.
    return f"CAST({value} * {increment.scale} AS BIGINT)"


def _entry(kind: str, name: str, columns: set[str]) -> str:
    """Return where a measure or attribute lies: its column, or `extra` from before it was declared."""
    column = f"{kind}_{name}"
    places = [_name(column)] if column in columns else []
    if "extra" in columns:
        kept = f"json_extract_string(extra, {_text(f'$.{kind}s.{_name(name)}')})"
        # A coalesce of a number and a text has no type; the cast is by kind, as the columns are.
        places.append(f"TRY_CAST({kept} AS DOUBLE)" if kind == "measure" else kept)
    return f"coalesce({', '.join(places)})" if places else "NULL"


def _fed(layout: Layout, counter: int) -> str:
    feeding = [
        _text(event)
        for event, increments in zip(layout.event_types, layout.increments, strict=True)
        if any(increment.counter == counter for increment in increments)
    ]
    any_feeds = f"bool_or(event_type IN ({', '.join(feeding)}))" if feeding else "false"
    return f"{any_feeds} AS fed_{counter}"


def _register(register: Register, number: int, columns: set[str]) -> str:
    code = _attribute_code(register, columns) if register.attribute else _event_code(register)
    packed = f"epoch_us(occurred_at) * {1 << CODE_BITS} + ({code})"
    return f"coalesce(max({packed}), 0)::BIGINT AS register_{number}"


def _attribute_code(register: Register, columns: set[str]) -> str:
    value = f"CAST({_entry('attribute', register.attribute or '', columns)} AS VARCHAR)"
    listed = " ".join(f"WHEN {_text(value)} THEN {code}" for code, value in enumerate(register.values, 1))
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE CASE {value} {listed} ELSE {OTHER_CODE} END END"


def _event_code(register: Register) -> str:
    values = register.values
    listed = " ".join(f"WHEN {_text(e)} THEN {values.index(v) + 1}" for e, v in register.events.items())
    return f"CASE event_type {listed} ELSE NULL END"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
