"""The archive of accepted events: date-partitioned Parquet in segments, each a contiguous range of source offsets.

A segment counts once its marker is written, after its files. After a crash segments may overlap; what a range of
offsets holds is a function of the topic alone, so any chain of segments that covers it is right, and one is chosen.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import msgspec

from churn.errors import DataError

MARKERS = "_segments"
MARKER_NAME = re.compile(r"(\d{4,})-(\d{12,})-(\d{12,})\.json")


class Marker(msgspec.Struct, frozen=True):
    """What a finished segment consists of."""

    files: list[str]
    rows: int


@dataclass(frozen=True)
class Segment:
    """Offsets [start, end) of a partition."""

    partition: int
    start: int
    end: int
    marker: Path

    @property
    def stem(self) -> str:
        """Return the name that the segment's files share."""
        return f"{self.partition:04d}-{self.start:012d}-{self.end:012d}"


def segments(archive_dir: Path) -> list[Segment]:
    """Return every finished segment."""
    found = []
    for marker in sorted((archive_dir / MARKERS).glob("*.json")):
        match = MARKER_NAME.fullmatch(marker.name)
        if match:
            found.append(Segment(int(match[1]), int(match[2]), int(match[3]), marker))
    return found


def chain(candidates: list[Segment]) -> list[Segment]:
    """Return non-overlapping segments of one partition from its lowest offset as far as they reach.

    Raises:
        DataError: a range of offsets is missing between two segments.
    """
    by_start: dict[int, list[Segment]] = defaultdict(list)
    for segment in candidates:
        by_start[segment.start].append(segment)
    ends = {0} | {segment.end for segment in candidates}
    reach = max(ends)
    # Dead ends are possible (a longer segment whose successor was cut elsewhere): walk back from the furthest end.
    by_end: dict[int, list[Segment]] = defaultdict(list)
    for segment in candidates:
        by_end[segment.end].append(segment)
    lowest = min(by_start, default=0)
    path: list[Segment] = []
    open_ends = [(reach, path)]
    seen: set[int] = set()
    while open_ends:
        end, tail = open_ends.pop()
        if end == lowest:
            return tail
        if end in seen:
            continue
        seen.add(end)
        open_ends += [(s.start, [s, *tail]) for s in by_end[end]]
    raise DataError(
        f"the archive of partition {candidates[0].partition} has a gap below offset {reach}: a segment file is missing in"
        f" {candidates[0].marker.parent}; restore it, or reset the archive's consumer group to write it again"
    )


def files(archive_dir: Path) -> list[Path]:
    """Return the Parquet files that hold each accepted event exactly once.

    Raises:
        DataError: a segment or a file is missing.
    """
    by_partition: dict[int, list[Segment]] = defaultdict(list)
    for segment in segments(archive_dir):
        by_partition[segment.partition].append(segment)
    found: list[Path] = []
    for candidates in by_partition.values():
        for segment in chain(candidates):
            marker = msgspec.json.decode(segment.marker.read_bytes(), type=Marker)
            found += [archive_dir / name for name in marker.files]
    missing = [path for path in found if not path.exists()]
    if missing:
        raise DataError(f"{missing[0]}: named by its segment's marker, but missing ({len(missing)} files in all)")
    return sorted(found)
