"""The archived events of a sample of users, held locally and followed as segments come in.

A segment is read once, and of it only the sampled users' rows: the archive of the whole past once after a start, then
only what is new. What a range of offsets holds is a function of the topic alone, so where segments overlap the part
that is missing is taken from any of them.
"""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import duckdb
import msgspec

from churn.declaration import Declaration
from churn.errors import DataError
from churn.time_travel import HASH_DIGITS, Sample
from feature_repo.archive import Marker, Segment, segments
from training.day_counts import events_of
from training.quoting import quoted_name

MEMORY_LIMIT = "1GB"
"""A hundredth of 500,000,000 events takes about half of it; past it DuckDB spills into the scratch folder."""
EVENTS = "SELECT * FROM sampled"

FIXED = {
    "partition": "INTEGER",
    "offset": "BIGINT",
    "user_id": "VARCHAR",
    "event_type": "VARCHAR",
    "occurred_at": "TIMESTAMPTZ",
    "extra": "VARCHAR",
}


class SampledEvents:
    """A table of the sample's events, complete for each partition up to `reach`."""

    def __init__(self, declaration: Declaration, archive_dir: Path, sample: Sample, scratch: Path) -> None:
        """Begin with nothing; `follow` reads."""
        self.reach: dict[int, int] = {}
        self.database = duckdb.connect()
        self.database.execute("SET memory_limit = ?", [MEMORY_LIMIT])
        self.database.execute("SET temp_directory = ?", [str(scratch)])
        self._archive_dir, self._limit = archive_dir, sample.limit
        self._columns = FIXED | _declared(declaration)
        listed = ", ".join(f"{quoted_name(name)} {kind}" for name, kind in self._columns.items())
        self.database.execute(f"CREATE TABLE sampled ({listed})")

    def follow(self) -> int:
        """Read what was archived since the last call; returns how many segments that were.

        Raises:
            DataError: a segment's file is missing.
        """
        by_partition: dict[int, list[Segment]] = defaultdict(list)
        for segment in segments(self._archive_dir):
            if segment.end > self.reach.get(segment.partition, 0):
                by_partition[segment.partition].append(segment)
        return sum(self._extend(partition, found) for partition, found in sorted(by_partition.items()))

    def _extend(self, partition: int, found: Collection[Segment]) -> int:
        """Take segments one after the other, from where the partition stands until none continues it."""
        reach = self.reach.get(partition, min(segment.start for segment in found))
        taken = 0
        while following := [segment for segment in found if segment.start <= reach < segment.end]:
            longest = max(following, key=lambda segment: segment.end)
            self._take(longest, reach)
            reach = self.reach[partition] = longest.end
            taken += 1
        return taken

    def _take(self, segment: Segment, start: int) -> None:
        marker = msgspec.json.decode(segment.marker.read_bytes(), type=Marker)
        paths = [self._archive_dir / name for name in marker.files]
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise DataError(f"{missing[0]}: named by its segment's marker, but missing; restore it")
        if not paths:
            return
        events = events_of(paths)
        there = {name for name, *_ in self.database.execute(f"DESCRIBE {events}").fetchall()}
        listed = ", ".join(quoted_name(name) for name in self._columns if name in there)
        query = f"""INSERT INTO sampled BY NAME SELECT {listed} FROM ({events})
            WHERE "offset" >= ? AND substr(sha256(user_id), 1, {HASH_DIGITS}) < ?"""  # noqa: S608  # names are quoted
        self.database.execute(query, [start, self._limit])

    def close(self) -> None:
        """Free memory and scratch files."""
        self.database.close()


def _declared(declaration: Declaration) -> dict[str, str]:
    measures = {f"measure_{name}": "DOUBLE" for event in declaration.events.values() for name in event.measures}
    registers = declaration.registers.values()
    return measures | {f"attribute_{each.attribute}": "VARCHAR" for each in registers if each.attribute}
