"""Archived events reduced to one row per user and day by DuckDB, days after days, in bounded memory.

What a row holds is said in `training.reduction`. An archive's events lie in folders of their UTC days, so that a batch
of whole days is reduced by itself, and lies in the table in the order of users: a block of users is then a few
stretches of every batch.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from churn.declaration import ACTIVITY_COUNTER
from churn.errors import DataError
from churn.layout import DAY_US, Int32s, Int64s, Layout
from training.day_cache import Chunk, DayCache
from training.quoting import quoted_text

MEMORY_LIMIT = "2GB"
"""Beyond it DuckDB sorts and aggregates on disk, in the scratch folder."""
BATCH_BYTES = 100_000_000
"""About 4 million events of Parquet: their days take 0.5 GB while they are sorted."""
VIEWED_USERS = 20_000
"""So few are read in two or three blocks, for which sorting the rows of all into a table costs more than it saves."""
COUNTED_USERS = 50_000
"""Of more users pairs are counted among so many and scaled: the share of a sample needs no third digit."""
COUNTS, SEEN = "counts.parquet", "seen.parquet"
"""Parts of a chunk."""
Progress = Callable[[str], None]


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

    def __init__(
        self,
        layout: Layout,
        files: Sequence[Path],
        scratch: Path,
        progress: Progress = lambda _: None,
        batch_bytes: int = BATCH_BYTES,
        cache: DayCache | None = None,
    ) -> None:
        """Read the files and reduce them, so many bytes of them at a time, or what of them the cache does not know.

        Raises:
            DataError: there is no event in them.
        """
        if not files:
            raise DataError("the archive holds no events; publish some and wait for the archive worker to flush them")
        self._layout, self._progress = layout, progress
        chunks = cache.chunks(files) if cache else []
        batches = [] if chunks else list(batches_of(files, batch_bytes))
        with ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(dir=scratch, prefix="days-"))
            # A file is compressed, which memory is not; what one batch gives needs no file, which takes 0.1 s.
            place = str(Path(folder) / "days.duckdb") if len(batches) + len(chunks) > 1 else ":memory:"
            self._database = opened.enter_context(duckdb.connect(place))
            self._database.execute("SET memory_limit = ?", [MEMORY_LIMIT])
            self._database.execute("SET temp_directory = ?", [str(Path(folder) / "spilled")])
            self._read_users(self._users_at_hand(chunks) if chunks else self._users_of(files))
            kept = [self._kept(chunk) for chunk in chunks]
            if kept and len(self.users) <= VIEWED_USERS:
                self._view(kept)
            else:
                self._reduce([kept_rows([path]) for path in kept] or [self._reduced(batch) for batch in batches])
            self._open = opened.pop_all()
        ends = self._database.execute("SELECT min(day), max(day), sum(events) FROM counts").fetchall()[0]
        self.first_day, self.last_day, self.events = int(ends[0]), int(ends[1]), int(ends[2])

    def _users_of(self, files: Sequence[Path]) -> str:
        events = events_of(files)
        return users_of(self._layout, events, columns_of(self._database, events))

    def _users_at_hand(self, chunks: Sequence[Chunk]) -> str:
        """Return the query of `users_of` over what is kept of chunks."""
        kept = kept_rows([chunk.part(SEEN, seen_by(self._database, self._layout, chunk.files)) for chunk in chunks])
        return f"""WITH seen AS (SELECT user_id, "partition", max(day) AS day FROM ({kept}) WHERE day IS NOT NULL GROUP BY ALL),
            ends AS (SELECT "partition", max(day) AS observed_until FROM seen GROUP BY ALL),
            users AS (SELECT user_id, max("partition") AS "partition" FROM seen GROUP BY ALL)
            SELECT user_id, observed_until FROM users JOIN ends USING ("partition")"""  # noqa: S608  # the paths are quoted

    def _reduced(self, files: Sequence[Path]) -> str:
        events = events_of(files)
        return by_key_and_day(self._layout, "user_id", events, columns_of(self._database, events))

    def _kept(self, chunk: Chunk) -> Path:
        def make(path: Path) -> None:
            copied(self._database, self._reduced(chunk.files), path)

        return chunk.part(COUNTS, make)

    def _read_users(self, query: str) -> None:
        self._progress("reading who there is")
        self._database.execute(
            f"CREATE TABLE users AS SELECT *, row_number() OVER (ORDER BY user_id) - 1 AS number FROM ({query})"  # noqa: S608  # a compiled expression
        )
        found = self._database.execute("SELECT user_id, observed_until FROM users ORDER BY number").fetchnumpy()
        self.users: list[str] = [str(user) for user in found["user_id"]]
        self.observed_until: Int32s = np.asarray(found["observed_until"], np.int32)
        if not self.users:
            raise DataError(
                f"no event in the archive is of a declared type; declared are {list(self._layout.event_types)}"
            )

    def _reduce(self, batches: Sequence[str]) -> None:
        for done, reduced in enumerate(batches):
            self._progress(f"reducing events to days: {done} of {len(batches)} batches")
            rows = f"{_numbered(reduced)} ORDER BY number, day"
            self._database.execute(f"INSERT INTO counts {rows}" if done else f"CREATE TABLE counts AS {rows}")

    def _view(self, kept: Sequence[Path]) -> None:
        """Leave the rows where they are kept."""
        self._database.execute(f"CREATE VIEW counts AS {_numbered(kept_rows(kept))}")

    def rows(self, start: int, stop: int) -> DayRows:
        """Return the rows of users start to stop."""
        query = "SELECT * FROM counts WHERE number >= ? AND number < ? ORDER BY day, number"
        return day_rows(self._layout, self._database.execute(query, [start, stop]).fetchnumpy(), start)

    def blocks(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield start and stop of blocks of users."""
        for start in range(0, len(self.users), size):
            yield start, min(start + size, len(self.users))

    def active_pairs(self, as_of_days: Sequence[int], horizon_days: int) -> int:
        """Return how many (user, snapshot) pairs have an activity in the horizon before the snapshot, about."""
        activity = f"fed_{self._layout.counter(ACTIVITY_COUNTER)}"
        every = max(1, len(self.users) // COUNTED_USERS)
        query = f"""SELECT count(*) FROM (SELECT DISTINCT number, as_of FROM counts, (SELECT unnest(?::INTEGER[]) AS as_of)
            WHERE number % ? = 0 AND {activity} AND day < as_of AND day >= as_of - ?)"""  # noqa: S608  # a column number of ours, no outside text
        return every * int(self._database.execute(query, [list(as_of_days), every, horizon_days]).fetchall()[0][0])

    def close(self) -> None:
        """Free memory and scratch files."""
        self._open.close()


def _numbered(reduced: str) -> str:
    return f"SELECT number, reduced.* EXCLUDE (user_id) FROM ({reduced}) AS reduced JOIN users USING (user_id)"  # noqa: S608  # a compiled expression


def batches_of(files: Sequence[Path], batch_bytes: int = BATCH_BYTES) -> Iterator[list[Path]]:
    """Yield the files of whole days, so many bytes together; files that lie elsewhere than in days are one batch."""
    ordered = sorted(files, key=lambda path: (path.parent.name, path))
    if not all(path.parent.name.startswith("date=") for path in ordered):
        yield ordered
        return
    batch: list[Path] = []
    size = 0
    for _, found in groupby(ordered, key=lambda path: path.parent.name):
        day = list(found)
        day_size = sum(path.stat().st_size for path in day)
        if batch and size + day_size > batch_bytes:
            yield batch
            batch, size = [], 0
        batch += day
        size += day_size
    yield batch


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
    listed = ", ".join(quoted_text(str(path)) for path in files)
    return f"SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"  # noqa: S608  # the paths are quoted


def seen_by(database: duckdb.DuckDBPyConnection, layout: Layout, files: Sequence[Path]) -> Callable[[Path], None]:
    """Return what writes each user and partition of the events, with the latest day of a declared event, null without."""
    declared = ", ".join(quoted_text(name) for name in layout.event_types)
    query = f"""SELECT user_id, "partition", max((epoch_us(occurred_at) // {DAY_US})::INTEGER)
        FILTER (event_type IN ({declared})) AS day FROM ({events_of(files)}) GROUP BY ALL"""  # noqa: S608  # texts and paths are quoted
    return lambda path: copied(database, query, path)


def copied(database: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Write the rows of a query as Parquet."""
    database.execute(f"COPY ({query}) TO {quoted_text(str(path))} (FORMAT parquet)")


def kept_rows(paths: Sequence[Path]) -> str:
    """Return the query of all rows of files written by `copied`."""
    return f"SELECT * FROM read_parquet([{', '.join(quoted_text(str(path)) for path in paths)}])"  # noqa: S608  # the paths are quoted


def columns_of(database: duckdb.DuckDBPyConnection, events: str) -> set[str]:
    """Return the columns of a query."""
    return {str(name) for name, *_ in database.execute(f"DESCRIBE {events}").fetchall()}


def by_key_and_day(layout: Layout, key: str, events: str, columns: Iterable[str]) -> str:
    """Return the query that reduces `events`, a query with these columns, to one row per key and UTC day."""
    # Ibis takes a second to import, which whoever only reads events need not wait for.
    from training.reduction import EVENTS, reducing_query

    return f"WITH {EVENTS} AS ({events}) {reducing_query(layout, key, columns, 'duckdb')}"


def users_of(layout: Layout, events: str, columns: Iterable[str]) -> str:
    """Return the query of all users of `events`, a query with these columns, with `observed_until`."""
    from training.reduction import EVENTS, users_query

    # The compiled text may begin with a WITH of its own, which cannot follow another.
    return f"WITH {EVENTS} AS ({events}) SELECT * FROM ({users_query(layout, columns, 'duckdb')})"  # noqa: S608  # a compiled expression
