"""Import a log: any CSV, JSONL or Parquet file becomes events, in the order of their times, every broken row reported.

The file is read once from end to end and its events are spooled to disk; only then are they published, so that a
file out of order is sorted first: history more than 31 days out of order would only count into totals.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

import msgspec

from churn.declaration import Declaration, EventType
from churn.errors import DataError
from churn.events import SCHEMA_VERSION, Event, encode
from producers import mapping as mappings
from producers import rows, translating
from producers.mapping import ColumnMapping
from producers.pacing import Pace
from producers.rows import BrokenRow
from producers.spool import Block, Spool
from producers.translating import EPOCH, RowError

LISTED_BROKEN_ROWS = 20
LISTED_COMPLAINTS = 50
PROGRESS_ROWS = 10_000
ONE_MICROSECOND = timedelta(microseconds=1)

Publish = Callable[[str, bytes], None]
Progress = Callable[[str, int], None]
"""Told "read" or "published" and how many so far, every 10,000 rows and at the end of each."""


@dataclass
class ImportReport:
    """What came of an import. `read` counts every record, so `read == accepted + broken`.

    `published` is below `accepted` only while the import runs. `undeclared` counts, by complaint, the published
    events that the declaration would refuse.
    """

    file: Path
    unit: str
    read: int = 0
    accepted: int = 0
    broken: int = 0
    published: int = 0
    in_order: bool = True
    first: datetime | None = None
    last: datetime | None = None
    first_broken: list[BrokenRow] = field(default_factory=list)
    undeclared: Counter[str] = field(default_factory=Counter)
    rejects: Path | None = None

    def lines(self) -> list[str]:
        """Return the summary for people, one line each."""
        period = (
            f" from {self.first:%Y-%m-%d %H:%M} to {self.last:%Y-%m-%d %H:%M} UTC" if self.first and self.last else ""
        )
        order = "" if self.in_order else "; the file was not in the order of its times and was sorted"
        head = f"{self.file}: {self.read} rows read, {self.published} events published{period}{order}"
        return [
            head,
            *self._broken_lines(),
            *(f"undeclared: {count} x {what}" for what, count in self.undeclared.items()),
        ]

    def _broken_lines(self) -> list[str]:
        if not self.broken:
            return []
        listed = [f"  {self.file}:{row.line}: {row.reason}" for row in self.first_broken]
        if self.broken > len(listed):
            listed.append(
                f"  ... and {self.broken - len(listed)} more; all are in {self.rejects or 'the rejects file, if you name one'}"
            )
        return [f"{self.broken} broken rows were not published ({self.unit} number after the file name):", *listed]


def import_log(
    path: Path,
    publish: Publish,
    *,
    mapping: Path | None = None,
    declaration: Declaration | None = None,
    rejects: Path | None = None,
    pace: Pace | None = None,
    shift: timedelta = timedelta(0),
    spool_dir: Path | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Publish the events of the log at `path` in the order of their times and report every row that is broken.

    Args:
        path: a .csv, .jsonl, .ndjson or .parquet file.
        publish: takes a user and the event's JSON, as `Publisher.publish` does.
        mapping: a mapping file (see `producers.mapping`); without it the columns are the contract's.
        declaration: published events that it would refuse are counted in `undeclared`.
        rejects: a JSONL file that gets every broken row: file, line, reason, text.
        pace: replays live at its speed; without it events are published as fast as possible.
        shift: is added to every time; ids stay the same.
        spool_dir: an existing folder for temporary files, about 100 bytes an event; the system's own unless told.
        progress: told about rows read and events published.

    Raises:
        InputError: the file, the mapping or a mapped column is missing, or the file is of no known kind.
    """
    described = _mapping(mapping)
    source = rows.read(path, described.delimiter if described else ",")
    columns = described or mappings.of_contract(source.columns)
    mappings.check(columns, source.columns, str(path))
    run = _Import(ImportReport(path, source.unit, rejects=rejects), columns, declaration, shift, progress or _silent)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="churn-import-", dir=spool_dir)))
        rejected = stack.enter_context(rejects.open("w", encoding="utf-8")) if rejects else None
        spool = stack.enter_context(Spool(folder))
        run.read(source, spool, rejected)
        run.publish(spool, publish, pace)
    return run.report


def _mapping(path: Path | None) -> ColumnMapping | None:
    if path is None:
        return None
    try:
        return mappings.parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the mapping cannot be read: {error}") from error


def _silent(_phase: str, _count: int) -> None:
    return


@dataclass
class _Import:
    report: ImportReport
    mapping: ColumnMapping
    declaration: Declaration | None
    shift: timedelta
    progress: Progress

    def read(self, source: rows.RowFile, spool: Spool, rejected: TextIO | None) -> None:
        report = self.report
        for row in source.rows:
            report.read += 1
            broken = row if isinstance(row, BrokenRow) else self._accept(row, spool)
            if broken:
                self._reject(broken, rejected)
            if report.read % PROGRESS_ROWS == 0:
                self.progress("read", report.read)
        report.accepted = spool.count
        report.in_order = spool.in_order
        self.progress("read", report.read)

    def _accept(self, row: rows.Row, spool: Spool) -> BrokenRow | None:
        try:
            event = translating.event(self.mapping, row.values, self.report.read)
            if self.shift:
                event = msgspec.structs.replace(event, occurred_at=event.occurred_at + self.shift)
        except RowError as error:
            return BrokenRow(row.line, str(error), _shown(row))
        except OverflowError:
            return BrokenRow(
                row.line, f"occurred_at: {self.shift.days} days later is outside years 1 to 9999", _shown(row)
            )
        if self.declaration:
            self._count_undeclared(event, self.declaration.events)
        spool.add((event.occurred_at - EPOCH) // ONE_MICROSECOND, event.user_id, encode(event))
        return None

    def _count_undeclared(self, event: Event, declared: Mapping[str, EventType]) -> None:
        for complaint in complaints(event, declared):
            known = complaint in self.report.undeclared or len(self.report.undeclared) < LISTED_COMPLAINTS
            self.report.undeclared[complaint if known else "other complaints"] += 1

    def _reject(self, broken: BrokenRow, rejected: TextIO | None) -> None:
        self.report.broken += 1
        if len(self.report.first_broken) < LISTED_BROKEN_ROWS:
            self.report.first_broken.append(broken)
        if rejected:
            line = {"file": str(self.report.file), "line": broken.line, "reason": broken.reason, "text": broken.text}
            rejected.write(msgspec.json.encode(line).decode() + "\n")

    def publish(self, spool: Spool, publish: Publish, pace: Pace | None) -> None:
        report = self.report
        for block in spool.blocks():
            self._stretch(block)
            for at_us, user_id, value in zip(block.occurred_at_us, block.user_ids, block.values, strict=True):
                if pace:
                    pace.wait_for(at_us)
                publish(user_id, value)
                report.published += 1
                if report.published % PROGRESS_ROWS == 0:
                    self.progress("published", report.published)
        self.progress("published", report.published)

    def _stretch(self, block: Block) -> None:
        moments = [EPOCH + timedelta(microseconds=us) for us in (block.occurred_at_us[0], block.occurred_at_us[-1])]
        self.report.first = self.report.first or moments[0]
        self.report.last = moments[1]


def _shown(row: rows.Row) -> str:
    return str(row.values)[: rows.SHOWN_CHARS]


def complaints(event: Event, declared: Mapping[str, EventType]) -> list[str]:
    """Return what the stream would refuse about an event by its declaration; empty when nothing."""
    if event.schema_version != SCHEMA_VERSION:
        return [f"schema_version {event.schema_version}"]
    if event.occurred_at < EPOCH:
        return ["a time before 1970"]
    kind = declared.get(event.event_type)
    if kind is None:
        return [f"event type {event.event_type} is not declared"]
    given = event.measures or {}
    missing = [name for name, m in kind.measures.items() if not m.optional and name not in given]
    outside = [n for n, m in kind.measures.items() if n in given and not m.minimum <= given[n] <= m.maximum]
    return [f"{event.event_type} without measure {n}" for n in missing] + [
        f"{event.event_type} with measure {n} outside {kind.measures[n].minimum:g} to {kind.measures[n].maximum:g}"
        for n in outside
    ]
