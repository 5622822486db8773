"""Vectors of any moments of the past, from archived events: each moment sees its own user, day and offset.

The way is that of the training data, not that of the stream: DuckDB reduces events to whole days, and the state of
each moment is put together from those at once. The two ways share the formulas from there on and nothing before, so
that a fault in either's counting shows as a difference.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from churn.declaration import ACTIVITY_COUNTER, TILE_DAYS, Declaration
from churn.features import ActiveDays, FeaturePlan, UserFacts
from churn.layout import MAX_UNITS, NEVER, NEVER_YET, Floats, Int64s, layout_of
from churn.rhythm import calendars_of
from churn.time_travel import Moment
from training.day_counts import DayRows, by_key_and_day, day_rows

KNOWN_THEN = """SELECT asked.number, events.* FROM ({events}) AS events JOIN asked
    ON events.user_id = asked.user_id AND events."partition" = asked."partition"
    AND events."offset" < asked.source_offset"""


class Recomputer:
    """Computes vectors of moments by one declaration."""

    def __init__(self, declaration: Declaration) -> None:
        self._layout = layout_of(declaration)
        self._plan = FeaturePlan(self._layout)
        self._activity = self._layout.counter(ACTIVITY_COUNTER)

    def vectors(self, database: duckdb.DuckDBPyConnection, events: str, moments: Sequence[Moment]) -> Floats:
        """Return float32 [moments, features] from `events`, a query of archived events in this database.

        A moment whose user has no event yet gets the vector of somebody who has done nothing.
        """
        columns = {name for name, *_ in database.execute(f"DESCRIBE {events}").fetchall()}
        query = by_key_and_day(self._layout, "number", KNOWN_THEN.format(events=events), columns)
        database.register("asked", _asked(moments))
        try:
            rows = day_rows(self._layout, database.execute(query).fetchnumpy())
        finally:
            database.unregister("asked")
        return self._computed(rows, np.array([moment.day for moment in moments], np.int64))

    def _computed(self, rows: DayRows, days: Int64s) -> Floats:
        """Compute each day's moments together; the plan takes one day at a time."""
        matrix = np.empty((len(days), len(self._plan.names)), np.float32)
        place_of = np.empty(len(days), np.intp)
        for day in np.unique(days).tolist():
            chosen = np.flatnonzero(days == day)
            place_of[chosen] = np.arange(len(chosen))
            mine = days[rows.users] == day
            part = DayRows(
                place_of[rows.users[mine]], rows.days[mine], rows.units[mine], rows.fed[mine], rows.registers[mine]
            )
            matrix[chosen] = self._plan.compute(facts_of(part, len(chosen), day, self._activity))
        return matrix


def facts_of(rows: DayRows, users: int, day: int, activity: int) -> UserFacts:
    """Return the state of users during `day`, from all their rows up to it; a day's row is the day's only one.

    `activity` is the column of the counter that calendars are of.
    """
    counters, registers = rows.units.shape[1], rows.registers.shape[1]
    totals = np.zeros((users, counters), np.int64)
    lasts = np.full((users, counters), NEVER, np.int32)
    firsts = np.full((users, counters), NEVER_YET, np.int32)
    latest = np.zeros((users, registers), np.int64)
    when = rows.days.astype(np.int32)[:, None]
    np.add.at(totals, rows.users, rows.units)
    np.maximum.at(lasts, rows.users, np.where(rows.fed, when, np.int32(NEVER)))
    np.minimum.at(firsts, rows.users, np.where(rows.fed, when, np.int32(NEVER_YET)))
    np.maximum.at(latest, rows.users, rows.registers)
    tiles = np.zeros((users, TILE_DAYS, counters), np.int32)
    ages = day - rows.days
    kept = (ages >= 0) & (ages < TILE_DAYS)
    tiles[rows.users[kept], ages[kept]] = np.minimum(rows.units[kept], MAX_UNITS)
    shown = rows.fed[:, activity]
    calendars = calendars_of(rows.users[shown], ages[shown], users)
    return UserFacts(ActiveDays.of(tiles), totals, lasts, firsts, latest, calendars, day)


def _asked(moments: Sequence[Moment]) -> pa.Table:
    return pa.table(
        {
            "number": pa.array(range(len(moments)), pa.int64()),
            "user_id": pa.array([moment.user for moment in moments], pa.string()),
            "partition": pa.array([moment.partition for moment in moments], pa.int32()),
            "source_offset": pa.array([moment.source_offset for moment in moments], pa.int64()),
        }
    )
