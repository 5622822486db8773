"""What an archive looks like from outside: counts that its checks and its fingerprint follow from, by DuckDB.

Like the reduction it goes by batches of whole days; an event that came twice has the same time, so that both lie in the
same batch.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from churn.declaration import Declaration
from churn.errors import DataError
from churn.layout import DAY_US, layout_of
from training.day_cache import Chunk, DayCache
from training.day_counts import (
    BATCH_BYTES,
    MEMORY_LIMIT,
    SEEN,
    Progress,
    batches_of,
    events_of,
    kept_rows,
    seen_by,
)
from training.quoting import quoted_name, quoted_text

IDENTITY = ("event_id", "user_id", "event_type", "occurred_at")
"""An event without one of these is none."""
EXAMPLES = 5
SEPARATOR = "chr(31)"
HASH_BITS = 128
PROFILE = "profile.msgpack"
"""A part of a chunk of days."""


@dataclass
class MeasureSeen:
    """What events of one type carry of one measure; `outside` lies beyond the declared limits."""

    events: int = 0
    missing: int = 0
    outside: int = 0
    smallest: float = float("inf")
    largest: float = float("-inf")

    def add(self, other: "MeasureSeen") -> None:
        """Add what was seen elsewhere."""
        self.events += other.events
        self.missing += other.missing
        self.outside += other.outside
        self.smallest, self.largest = min(self.smallest, other.smallest), max(self.largest, other.largest)


@dataclass
class AttributeSeen:
    """How many events carry an attribute, and how many with a value that is not declared, with examples."""

    present: int = 0
    undeclared: int = 0
    examples: set[str] = field(default_factory=set)

    def add(self, other: "AttributeSeen") -> None:
        """Add what was seen elsewhere."""
        self.present += other.present
        self.undeclared += other.undeclared
        self.examples = set(sorted(self.examples | other.examples)[:EXAMPLES])


@dataclass
class Profile:
    """What was seen in an archive.

    Attributes:
        columns: the types that each column has in the files.
        by_type_and_day: events of each type on each UTC day.
        partition_ends: the latest day of each partition.
        by_type: events of each type.
        missing: events without a value in a column of IDENTITY.
        repeated: events whose id came before on the same days.
        users: different users.
        content: hex digits that follow from the events alone: not from their order, their files, or when they arrived.
    """

    columns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    by_type_and_day: Counter[tuple[str, int]] = field(default_factory=Counter)
    partition_ends: dict[int, int] = field(default_factory=dict)
    by_type: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    measures: dict[tuple[str, str], MeasureSeen] = field(default_factory=lambda: defaultdict(MeasureSeen))
    attributes: dict[str, AttributeSeen] = field(default_factory=lambda: defaultdict(AttributeSeen))
    users: int = 0
    content: str = ""

    def add(self, other: "Profile") -> None:
        """Add what was seen in other files, of other days; `users` stays, and `content` is a sum of hashes until the end."""
        for name, kinds in other.columns.items():
            self.columns[name] |= kinds
        self.by_type_and_day.update(other.by_type_and_day)
        self.by_type.update(other.by_type)
        self.missing.update(other.missing)
        for partition, day in other.partition_ends.items():
            self.partition_ends[partition] = max(day, self.partition_ends.get(partition, day))
        self.repeated += other.repeated
        for place, measure in other.measures.items():
            self.measures[place].add(measure)
        for name, attribute in other.attributes.items():
            self.attributes[name].add(attribute)
        self.content = f"{(int(self.content or '0', 16) + int(other.content or '0', 16)) % (1 << HASH_BITS):x}"

    def by_day(self, types: Collection[str]) -> Counter[int]:
        """Return the events of these types on each day that has any."""
        found: Counter[int] = Counter()
        for (kind, day), events in self.by_type_and_day.items():
            if kind in types:
                found[day] += events
        return found

    @property
    def days(self) -> tuple[int, int]:
        """Return the first and the last day with an event."""
        days = [day for _, day in self.by_type_and_day]
        return min(days), max(days)

    @property
    def events(self) -> int:
        """Return how many events there are."""
        return sum(self.by_type.values())


def profile_of(
    declaration: Declaration,
    files: Sequence[Path],
    progress: Progress = lambda _: None,
    batch_bytes: int = BATCH_BYTES,
    cache_dir: Path | None = None,
) -> Profile:
    """Read an archive's files once, or what `cache_dir` does not keep of them, and tell what is in them.

    Raises:
        DataError: there are none.
    """
    if not files:
        raise DataError("the archive holds no events; publish some and wait for the archive worker to flush them")
    layout = layout_of(declaration)
    chunks = DayCache(cache_dir, layout).chunks(files) if cache_dir else []
    batches: list[Sequence[Path]] = [chunk.files for chunk in chunks]
    batches = batches or [*batches_of(files, batch_bytes)]
    found = Profile()
    with duckdb.connect() as database:
        database.execute("SET memory_limit = ?", [MEMORY_LIMIT])
        for done, batch in enumerate(batches):
            progress(f"looking at events: {done} of {len(batches)} batches")
            reader = Reader(database, declaration, batch)
            found.add(_kept(reader, chunks[done]) if chunks else reader.profile())
        if not set(IDENTITY) - found.columns.keys():
            seen = [chunk.part(SEEN, seen_by(database, layout, chunk.files)) for chunk in chunks]
            rows = kept_rows(seen) if seen else events_of(files)
            found.users = int(_one(database, f"SELECT count(DISTINCT user_id) FROM ({rows})"))  # noqa: S608  # the paths are quoted
    found.content = hashlib.sha256(f"{found.events} {int(found.content or '0', 16):x}".encode()).hexdigest()
    return found


def _kept(reader: "Reader", chunk: Chunk) -> Profile:
    def make(path: Path) -> None:
        path.write_bytes(msgspec.msgpack.encode(reader.profile()))

    return msgspec.msgpack.decode(chunk.part(PROFILE, make).read_bytes(), type=Profile, dec_hook=_counted)


def _counted(_: type, found: Any) -> Any:
    """Return counts as the Counter that msgspec does not know."""
    return Counter(found)


def _one(database: duckdb.DuckDBPyConnection, query: str) -> Any:
    return (database.execute(query).fetchone() or (0,))[0]


@dataclass(frozen=True)
class Reader:
    """Reads one batch of files into a profile."""

    database: duckdb.DuckDBPyConnection
    declaration: Declaration
    files: Sequence[Path]

    def profile(self) -> Profile:
        """Return what is in the batch; `users` is not counted, and `content` is the sum of its hashes."""
        found = Profile()
        if self.describe(found):
            found.content = f"{self.count(found) % (1 << HASH_BITS):x}"
        return found

    def describe(self, found: Profile) -> bool:
        """Note the columns; returns whether the rows can be read by them."""
        for name, kind, *_ in self.database.execute(f"DESCRIBE {events_of(self.files)}").fetchall():
            found.columns[str(name)].add(str(kind))
        return {*IDENTITY, "partition"} <= found.columns.keys()

    def count(self, found: Profile) -> int:
        """Note what the rows hold; returns the sum of their hashes."""
        columns = [str(name) for name, *_ in self.database.execute(f"DESCRIBE {events_of(self.files)}").fetchall()]
        asked = {**dict(_facts(columns)), **dict(self._of_measures(columns)), **dict(self._of_attributes(columns))}
        listed = ", ".join(f"{query} AS {quoted_name(name)}" for name, query in asked.items())
        query = f"""SELECT event_type, epoch_us(occurred_at) // {DAY_US} AS day, "partition", {listed}
            FROM ({events_of(self.files)}) GROUP BY ALL"""  # noqa: S608  # names and texts are quoted
        cursor = self.database.execute(query)
        names = [column[0] for column in cursor.description or []]
        total = 0
        for values in cursor.fetchall():
            row = dict(zip(names, values, strict=True))
            total += int(row["hashed"])
            self._note(found, row)
        # Of hashes, in half the time: four million ids share one of 64 bits once in two million batches.
        ids = f"SELECT count(event_id) - count(DISTINCT hash(event_id)) FROM ({events_of(self.files)})"  # noqa: S608  # the paths are quoted
        found.repeated += int(_one(self.database, ids))
        return total

    def _note(self, found: Profile, row: Mapping[str, Any]) -> None:
        kind, day, partition, events = row["event_type"], row["day"], row["partition"], int(row["events"])
        found.by_type[str(kind)] += events
        for name in IDENTITY:
            found.missing[name] += int(row[f"missing {name}"])
        if day is not None:
            found.by_type_and_day[str(kind), int(day)] += events
            if partition is not None:
                found.partition_ends[int(partition)] = max(int(day), found.partition_ends.get(int(partition), int(day)))
        event = self.declaration.events.get(str(kind))
        for name in event.measures if event else ():
            self._note_measure(found.measures[str(kind), name], row, name, events)
        for name in attributes_of(self.declaration):
            if f"present {name}" in row:
                seen = found.attributes[name]
                seen.present += int(row[f"present {name}"])
                seen.undeclared += int(row[f"undeclared {name}"])
                seen.examples.update((row[f"examples {name}"] or [])[: EXAMPLES - len(seen.examples)])

    def _note_measure(self, seen: MeasureSeen, row: Mapping[str, Any], name: str, events: int) -> None:
        seen.events += events
        present = int(row.get(f"measured {name}", 0))
        seen.missing += events - present
        if present:
            seen.outside += int(row[f"outside {name}"])
            seen.smallest = min(seen.smallest, float(row[f"least {name}"]))
            seen.largest = max(seen.largest, float(row[f"most {name}"]))

    def _of_measures(self, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
        limits: dict[str, list[str]] = defaultdict(list)
        for event in self.declaration.events.values():
            for name, measure in event.measures.items():
                limits[name].append(
                    f"WHEN {quoted_text(event.name)} THEN NOT {{value}} BETWEEN {measure.minimum!r} AND {measure.maximum!r}"
                )
        for name, cases in limits.items():
            value = _value("measure", name, columns)
            if value is None:
                continue
            outside = " ".join(case.replace("{value}", value) for case in cases)
            yield f"measured {name}", f"count({value})"
            yield f"outside {name}", f"count(*) FILTER (CASE event_type {outside} ELSE false END)"
            yield f"least {name}", f"min({value})"
            yield f"most {name}", f"max({value})"

    def _of_attributes(self, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
        for name, known in attributes_of(self.declaration).items():
            value = _value("attribute", name, columns)
            if value is None:
                continue
            unknown = f"{value} NOT IN ({', '.join(map(quoted_text, known))})"
            yield f"present {name}", f"count({value})"
            yield f"undeclared {name}", f"count(*) FILTER ({unknown})"
            yield f"examples {name}", f"min({value}, {EXAMPLES}) FILTER ({unknown})"


def attributes_of(declaration: Declaration) -> dict[str, tuple[str, ...]]:
    """Return the attributes that registers read with all the values that some register knows."""
    found: dict[str, tuple[str, ...]] = {}
    for register in declaration.registers.values():
        if register.attribute:
            found[register.attribute] = (*found.get(register.attribute, ()), *register.values)
    return found


def _facts(columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "events", "count(*)"
    yield "hashed", f"sum(md5_number_lower(concat_ws({SEPARATOR}, {', '.join(_content(columns))})))"
    for name in IDENTITY:
        yield f"missing {name}", f"count(*) - count({name})"


def _content(columns: Sequence[str]) -> Iterator[str]:
    """Yield what an event says, each part with its name; absent ones are null and left out, column or not."""
    yield from ("event_id", "user_id", "event_type", "epoch_us(occurred_at)")
    # `extra` too: an event archived before something was declared stays the event that it was.
    for column in sorted(each for each in columns if each.startswith(("measure_", "attribute_")) or each == "extra"):
        yield f"{quoted_text(column + '=')} || {quoted_name(column)}"


def _value(kind: str, name: str, columns: Sequence[str]) -> str | None:
    column = f"{kind}_{name}"
    places = [quoted_name(column)] if column in columns else []
    if "extra" in columns:
        kept = f"json_extract_string(extra, {quoted_text(f'$.{kind}s.{quoted_name(name)}')})"
        places.append(f"TRY_CAST({kept} AS DOUBLE)" if kind == "measure" else kept)
    return f"coalesce({', '.join(places)})" if places else None
