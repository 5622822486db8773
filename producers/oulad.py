"""Replay the Open University Learning Analytics Dataset (OULAD) as events: an enrolment is a user.

The user `AAA-2013J-11391` is student 11391 in presentation 2013J of module AAA. Dates are days from the start of the
presentation, taken as 1 February (B) or 1 October (J) of its year. THE TIME OF DAY IS SYNTHETIC: it follows from a hash
of the row, and rows of one enrolment and day keep the order of the file. Registrations fall between 6:00 and 7:00,
clicks and submissions between 7:00 and 23:00, deadlines and withdrawals after 23:00 UTC.

One row of studentVle is one event `clicked_<activity type>` with the measure `clicks`; the 787,170 exact duplicates of
the original are distinct events, because the row's place in the file is part of `event_id`. A submission is an event
`assessment_submitted` with `days_late`, `days_early`, `scored` (1 or 0) and, if known, `score`, all on the day of the
submission, as the data set does not say when it was marked. Banked submissions are skipped and counted.

The deadlines of a presentation are known when it starts. Each of them is two events of each enrolment: 30 days ahead,
or on the day of a later registration, `assessment_announced`, and at its end `assessment_due` with `missed` (1: nothing
was handed in by then). Who has withdrawn by that day, or need not hand in again what was banked, gets none.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.errors import InputError
from producers.importing import Progress, Publish
from producers.oulad_events import Chunk, EventTable, Source, Strings
from producers.oulad_tables import Tables, load, presentation_start
from producers.pacing import Pace

__all__ = ["OuladLog", "ReplayReport", "presentation_start", "read", "replay"]

CHUNK_ROWS = 32_768
ANNOUNCED_DAYS = 30
"""How long before its deadline an assessment is announced; the data set tells the deadline alone."""
DAY_US = 86_400_000_000
HOUR_MS = 3_600_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Int64s = npt.NDArray[np.int64]


def read(folder: Path) -> "OuladLog":
    """Read the tables in `folder` and put all their events in the order of time (2013B and 2013J: 5 s, 900 MB at its peak).

    Raises:
        DataError: the folder, a file or a column is missing, or a value cannot be read.
    """
    tables = load(folder)
    return OuladLog(tables, _events(tables))


class OuladLog:
    """The events of every presentation in one order of time, and the enrolments that they belong to."""

    def __init__(self, tables: Tables, events: EventTable) -> None:
        self._tables = tables
        self._events = events

    @property
    def skipped(self) -> Mapping[str, int]:
        """Return what was left out and how many rows of it."""
        return self._tables.skipped

    def __len__(self) -> int:
        return len(self._events)

    def counts(self) -> dict[str, int]:
        """Return how many events there are of each type."""
        return self._events.counts()

    def span(self) -> tuple[datetime, datetime]:
        """Return the times of the first and the last event."""
        times = self._events.occurred_at_us
        if not len(times):
            raise InputError("the OULAD folder holds no events")
        first, last = (EPOCH + timedelta(microseconds=int(us)) for us in (times[0], times[-1]))
        return first, last

    def chunks(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        shift_days: int = 0,
        rows: int = CHUNK_ROWS,
    ) -> Iterator[Chunk]:
        """Yield the events with since <= time < until, in the order of time, `rows` at a time.

        `shift_days` is added to every time that is handed out; `since` and `until` are times of the data set.
        """
        start, stop = self._position(since, 0), self._position(until, len(self))
        for first in range(start, stop, rows):
            yield self._events.chunk(first, min(first + rows, stop), shift_days)

    def _position(self, at: datetime | None, default: int) -> int:
        if at is None:
            return default
        if at.tzinfo is None:
            raise InputError(f"{at} has no time zone; give a time in UTC")
        return int(np.searchsorted(self._events.occurred_at_us, (at - EPOCH) // timedelta(microseconds=1)))

    def enrolments(self) -> pd.DataFrame:
        """Return every enrolment, one row each, in the order of `user_id`'s parts.

        Columns: user_id, module, presentation, start (day 0, UTC), presentation_length_days, registered_day and
        unregistered_day (relative to the start; NaN: unknown or never).
        """
        e = self._tables.enrolments
        columns = {
            "user_id": _user_ids(e),
            "module": e["module"],
            "presentation": e["presentation"],
            "start": pd.to_datetime(e["start_day"], unit="D", utc=True),
            "presentation_length_days": e["length_days"],
            "registered_day": e["registered"],
            "unregistered_day": e["unregistered"],
        }
        return pd.DataFrame(columns)


def _user_ids(enrolments: Mapping[str, Any]) -> list[str]:
    keys = (enrolments[name].tolist() for name in ("module", "presentation", "student"))
    return [f"{module}-{presentation}-{student}" for module, presentation, student in zip(*keys, strict=True)]


def _events(tables: Tables) -> EventTable:
    strings = Strings(_user_ids(tables.enrolments))
    parts = [
        _moves(tables, strings, "registered", Source.REGISTRATION, 6 * HOUR_MS),
        _clicks(tables, strings),
        _submissions(tables, strings),
        *_deadlines(tables, strings),
        _moves(tables, strings, "unregistered", Source.UNREGISTRATION, 23 * HOUR_MS),
    ]
    return EventTable.sorted(strings, parts)


def _clicks(tables: Tables, strings: Strings) -> EventTable:
    c = tables.clicks
    day, user = c["day"] + tables.enrolments["start_day"][c["user"]], c["user"]
    clicks, which = np.unique(c["clicks"], return_inverse=True)
    codes = np.array([strings.measures({"clicks": int(n)}) for n in clicks], dtype=np.int32)
    types = np.array([strings.event_type(f"clicked_{name}") for name in tables.activities], dtype=np.int16)
    ms = _in_file_order(user, day, _hashed_ms(c["row"], Source.VISIT, 7 * HOUR_MS, 16 * HOUR_MS))
    return EventTable(
        strings, _micros(day, ms), user, types[c["activity"]], codes[which], c["row"], np.full(len(user), Source.VISIT)
    )


def _submissions(tables: Tables, strings: Strings) -> EventTable:
    s = tables.submissions
    day, user = s["day"] + tables.enrolments["start_day"][s["user"]], s["user"]
    pairs = zip(s["days_late"].tolist(), s["score"].tolist(), strict=True)
    codes = np.array([strings.measures(_submission(late, score)) for late, score in pairs], dtype=np.int32)
    types = np.full(len(user), strings.event_type("assessment_submitted"))
    ms = _hashed_ms(s["row"], Source.SUBMISSION, 7 * HOUR_MS, 16 * HOUR_MS)
    return EventTable(strings, _micros(day, ms), user, types, codes, s["row"], np.full(len(user), Source.SUBMISSION))


def _submission(days_late: int, score: float) -> dict[str, float]:
    # Increments of counters are never negative, so lateness comes as two measures.
    measures: dict[str, float] = {"days_late": max(0, days_late), "days_early": max(0, -days_late)}
    scored = not math.isnan(score)
    return {**measures, "scored": int(scored), **({"score": score} if scored else {})}


def _deadlines(tables: Tables, strings: Strings) -> list[EventTable]:
    """Return announcements and deadlines; times of day do not depend on the place in the file, for there is none."""
    d, e = tables.deadlines, tables.enrolments
    registered, unregistered = e["registered"][d["user"]], e["unregistered"][d["user"]]
    # No known day (NaN) compares as false: such a one is enrolled from the start, or until the end.
    known = np.fmax(d["day"] - ANNOUNCED_DAYS, registered)
    told = ~(unregistered <= known) & (known < d["day"])
    due = ~(unregistered <= d["day"]) & ~(registered > d["day"])
    missed = np.array([strings.measures({"missed": missed}) for missed in (0, 1)], np.int32)[d["missed"]]
    none = np.full(len(known), strings.measures({}))

    def events(name: str, source: Source, rows: Any, day: Any, measures: Any, from_ms: int) -> EventTable:
        user, ms = d["user"][rows], _hashed_ms(d["row"][rows], source, from_ms, HOUR_MS)
        at_us = _micros(e["start_day"][user] + day[rows].astype(np.int64), ms)
        types, sources = np.full(len(user), strings.event_type(name)), np.full(len(user), source)
        return EventTable(strings, at_us, user, types, measures[rows], d["row"][rows], sources)

    return [
        events("assessment_announced", Source.ANNOUNCEMENT, told, known, none, 7 * HOUR_MS),
        events("assessment_due", Source.DEADLINE, due, d["day"], missed, 23 * HOUR_MS),
    ]


def _moves(tables: Tables, strings: Strings, column: str, source: Source, from_ms: int) -> EventTable:
    e = tables.enrolments
    user = np.flatnonzero(~np.isnan(e[column]))
    day = e["start_day"][user] + e[column][user].astype(np.int64)
    types, none = np.full(len(user), strings.event_type(column)), np.full(len(user), strings.measures({}))
    # The place among the enrolments is no place in the file, but one enrolment has one such event.
    ms = _hashed_ms(user, source, from_ms, HOUR_MS)
    return EventTable(strings, _micros(day, ms), user, types, none, user, np.full(len(user), source))


def _hashed_ms(row: Any, source: Source, from_ms: int, span_ms: int) -> Int64s:
    """Return a time of day for each row, equal for equal rows: splitmix64 of the row number and its table."""
    with np.errstate(over="ignore"):
        x = (np.asarray(row, dtype=np.uint64) * np.uint64(4) + np.uint64(source)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    hashed: Int64s = (x % np.uint64(span_ms)).astype(np.int64) + from_ms
    return hashed


def _in_file_order(user: Any, day: Any, ms: Int64s) -> Int64s:
    """Hand the times of each enrolment and day out again in ascending order of the rows."""
    # 27 bits hold the milliseconds of a day, 17 the days until 2328; 2^19 enrolments fit beside them.
    group = (np.asarray(user, dtype=np.int64) << 17 | np.asarray(day, dtype=np.int64)) << 27
    ascending = np.sort(group | ms) & ((1 << 27) - 1)
    ordered = np.empty_like(ms)
    ordered[np.argsort(group, kind="stable")] = ascending
    return ordered


def _micros(day: Any, ms: Int64s) -> Int64s:
    micros: Int64s = np.asarray(day, dtype=np.int64) * DAY_US + ms * 1000
    return micros


@dataclass
class ReplayReport:
    """What came of a replay; `skipped` counts the rows of the data set that are no events, by reason."""

    folder: Path
    published: int = 0
    first: datetime | None = None
    last: datetime | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the summary for people, one line each."""
        period = f" from {self.first:%Y-%m-%d} to {self.last:%Y-%m-%d}" if self.first and self.last else ""
        return [
            f"{self.folder}: {self.published} events published{period}",
            "days are the data set's own, counted from 1 February (B) or 1 October (J); times of day are synthetic",
            *(f"skipped: {count} {what}" for what, count in self.skipped.items()),
        ]


def replay(
    folder: Path,
    publish: Publish,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    pace: Pace | None = None,
    shift_days: int = 0,
    progress: Progress | None = None,
    opened: Callable[[Path], OuladLog] = read,
) -> ReplayReport:
    """Publish the events of an OULAD folder with since <= time < until, in the order of time.

    Args:
        folder: holds the tables.
        publish: takes a user and the event's JSON, as `Publisher.publish` does.
        since, until: times of the data set, with a zone; none: all.
        pace: replays live at its speed; without it events are published as fast as possible.
        shift_days: is added to every time that is published; ids stay the same.
        progress: told "read" and "published" with counts.
        opened: reads the folder.

    Raises:
        InputError: the folder, a file or a column is missing, or a date has no zone.
    """
    log = opened(folder)
    report = ReplayReport(folder, skipped=log.skipped)
    tell = progress or (lambda _phase, _count: None)
    tell("read", len(log))
    for chunk in log.chunks(since, until, shift_days=shift_days):
        _publish(chunk, publish, pace)
        report.published += len(chunk.values)
        report.first = report.first or EPOCH + timedelta(microseconds=int(chunk.occurred_at_us[0]))
        report.last = EPOCH + timedelta(microseconds=int(chunk.occurred_at_us[-1]))
        tell("published", report.published)
    return report


def _publish(chunk: Chunk, publish: Publish, pace: Pace | None) -> None:
    if pace is None:
        for user_id, value in zip(chunk.user_ids, chunk.values, strict=True):
            publish(user_id, value)
        return
    for at_us, user_id, value in zip(chunk.occurred_at_us.tolist(), chunk.user_ids, chunk.values, strict=True):
        pace.wait_for(at_us)
        publish(user_id, value)
