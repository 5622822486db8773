"""Every feature of every user, from tiles and lifetime facts, in one vectorised pass.

Sums stay integers until the last step and each division is one elementwise float64 operation, so that a vector does
not depend on how many users are computed together: stream, batch and replay give the same bits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from churn.declaration import AVERAGED, RHYTHMIC, Aggregate, Feature
from churn.layout import CODE_BITS, NEVER, NEVER_YET, Float64s, Floats, Int32s, Int64s, Layout
from churn.rhythm import Rhythm, UInt64s, ratio

CHUNK_USERS = 1024
"""The sums of 1,024 users take 1 MB, which stays in the second-level cache."""
DECAY_ONE = 1 << 20
"""Decay weights are integers in units of 2^-20; 31 saturated tiles still fit 63 bits."""
SHORT_DAYS, LONG_DAYS = 7, 30
"""A trend compares the last 7 days with the last 30."""
DAYS_COUNTED = frozenset({Aggregate.DAYS, Aggregate.TREND_DAYS})
"""Those that need to know on how many days there was any; for all counters that cost a quarter of every vector."""


@dataclass(frozen=True)
class ActiveDays:
    """The days of n users on which something was counted; the others cost nothing.

    Attributes:
        present: bool [n, days], the day `a` days ago at position a.
        units: int32 [rows, counters], a row for each true of `present`, in the order of users, then of ages.
    """

    present: npt.NDArray[np.bool_]
    units: Int32s

    @classmethod
    def of(cls, tiles: Int32s) -> "ActiveDays":
        """Return full tiles, int32 [n, ages, counters], as rows."""
        present = np.any(tiles != 0, axis=2)
        return cls(present, tiles[present])

    def __len__(self) -> int:
        return len(self.present)

    @cached_property
    def starts(self) -> Int64s:
        """Return where the rows of each user start, and after them where the last ones end."""
        return np.concatenate([[0], np.cumsum(np.count_nonzero(self.present, axis=1))])

    @cached_property
    def places(self) -> tuple[Int64s, Int64s]:
        """Return the user and the age of each row."""
        users, ages = np.nonzero(self.present)
        return users, ages

    def part(self, start: int, stop: int) -> "ActiveDays":
        """Return the rows of users start to stop."""
        stop = min(stop, len(self))
        return ActiveDays(self.present[start:stop], self.units[self.starts[start] : self.starts[stop]])

    def take(self, users: npt.NDArray[np.intp]) -> "ActiveDays":
        """Return the rows of these users, each given once, in this order."""
        starts, counts = self.starts[users], np.diff(self.starts)[users]
        shifts = np.repeat(starts - np.cumsum(counts) + counts, counts)
        return ActiveDays(self.present[users], self.units[shifts + np.arange(len(shifts))])


@dataclass(frozen=True)
class UserFacts:
    """State of n users on `day`, as described in `churn.layout`."""

    active: ActiveDays
    totals: Int64s
    lasts: Int32s
    firsts: Int32s
    registers: Int64s
    calendars: UInt64s
    day: int

    def part(self, start: int, stop: int) -> "UserFacts":
        """Return users start to stop."""
        users = slice(start, stop)
        return UserFacts(
            self.active.part(start, stop),
            self.totals[users],
            self.lasts[users],
            self.firsts[users],
            self.registers[users],
            self.calendars[users],
            self.day,
        )


@dataclass(frozen=True)
class Wanted:
    """Which aggregates of which counters the features of a declaration read; nothing else is computed."""

    windows: frozenset[int]
    days: tuple[int, ...]
    maxima: bool
    decayed: Mapping[int, tuple[float, ...]]
    decayed_days: Mapping[int, tuple[float, ...]]


class Sums:
    """Aggregates over tiles: by window for all counters, by half-life for the counters that have one; and the rhythm.

    Each is a difference of two running sums over the rows, so the cost is that of the days on which something happened.
    """

    def __init__(self, facts: UserFacts, wanted: Wanted) -> None:
        self.units: dict[int, Int64s] = {}
        self.days: dict[tuple[int, int], Int64s] = {}
        self.largest: dict[int, Int32s] = {}
        self.decayed: dict[tuple[int, float], Int64s] = {}
        self.decayed_days: dict[tuple[int, float], Int64s] = {}
        self.rhythm = Rhythm(facts.calendars)
        rows = facts.active
        self._by_window(rows, wanted)
        for column, half_lives in wanted.decayed.items():
            units = rows.units[:, column].astype(np.int64)
            self.decayed |= _weighted(rows, units, column, half_lives)
        for column, half_lives in wanted.decayed_days.items():
            days = (rows.units[:, column] > 0).astype(np.int64)
            self.decayed_days |= _weighted(rows, days, column, half_lives)

    def _by_window(self, rows: ActiveDays, wanted: Wanted) -> None:
        units, days = _running(rows.units), _running(rows.units[:, wanted.days] > 0)
        starts = rows.starts[:-1]
        units_before, days_before = units[starts], days[starts]
        for window in wanted.windows:
            ends = starts + np.count_nonzero(rows.present[:, :window], axis=1)
            self.units[window], counted = units[ends] - units_before, days[ends] - days_before
            self.days |= {(window, column): counted[:, place] for place, column in enumerate(wanted.days)}
            if wanted.maxima:
                self.largest[window] = _largest(rows.units, starts, ends)


def _running(rows: npt.NDArray[np.generic]) -> Int64s:
    """Return the sums of the first 0, 1, 2, ... rows."""
    sums = np.zeros((len(rows) + 1, *rows.shape[1:]), np.int64)
    np.cumsum(rows, axis=0, dtype=np.int64, out=sums[1:])
    return sums


def _largest(units: Int32s, starts: Int64s, ends: Int64s) -> Int32s:
    """Return the largest of each run of rows, 0 for an empty run."""
    largest = np.zeros((len(starts), units.shape[1]), np.int32)
    filled = np.flatnonzero(ends > starts)
    if len(filled):
        bounds = np.stack([starts[filled], ends[filled]], axis=1).reshape(-1)
        # The last run may end with the last row, and a bound must lie within.
        padded = np.concatenate([units, np.zeros((1, units.shape[1]), np.int32)])
        largest[filled] = np.maximum.reduceat(padded, bounds, axis=0)[::2]
    return largest


def _weighted(
    rows: ActiveDays, values: Int64s, column: int, half_lives: tuple[float, ...]
) -> dict[tuple[int, float], Int64s]:
    """Return the decayed sums of int64 [rows], by column and half-life.

    The running sum of all users may wrap; a difference of two is exact all the same, for it fits.
    """
    weights = [[decay_weight(age, half_life) for half_life in half_lives] for age in range(rows.present.shape[1])]
    running = _running(values[:, None] * np.array(weights, np.int64)[rows.places[1]])
    sums = running[rows.starts[1:]] - running[rows.starts[:-1]]
    return {(column, half_life): sums[:, place] for place, half_life in enumerate(half_lives)}


def decay_weight(age_days: int, half_life_days: float) -> int:
    """Return the integer weight of a day, in units of 2^-20.

    >>> decay_weight(0, 5.0), decay_weight(5, 5.0), decay_weight(10, 5.0)
    (1048576, 524288, 262144)
    """
    return round(DECAY_ONE * math.pow(2.0, -age_days / half_life_days))


Column = Callable[[UserFacts, Sums], Float64s]


class FeaturePlan:
    """Computes the vectors of many users by one declaration."""

    def __init__(self, layout: Layout) -> None:
        features = layout.declaration.features
        self.names = layout.declaration.feature_names
        self._columns: list[Column] = [_column(layout, feature) for feature in features]
        self._wanted = _wanted(layout, features)

    def compute(self, facts: UserFacts) -> Floats:
        """Return float32 [users, features]; a value that does not exist (a mean of nothing) is NaN."""
        users = len(facts.active)
        matrix = np.empty((users, len(self._columns)), dtype=np.float32)
        for start in range(0, users, CHUNK_USERS):
            part = facts.part(start, start + CHUNK_USERS)
            sums = Sums(part, self._wanted)
            for number, column in enumerate(self._columns):
                matrix[start : start + CHUNK_USERS, number] = column(part, sums)
        return matrix


def _wanted(layout: Layout, features: Sequence[Feature]) -> Wanted:
    windows = frozenset(f.window_days for f in features if f.window_days) | {SHORT_DAYS, LONG_DAYS}
    maxima = any(f.aggregate is Aggregate.MAX for f in features)
    by_aggregate: dict[Aggregate, dict[int, tuple[float, ...]]] = {Aggregate.DECAYED: {}, Aggregate.DECAYED_DAYS: {}}
    for feature in features:
        if feature.aggregate in by_aggregate:
            column, found = layout.counter(feature.source), by_aggregate[feature.aggregate]
            found[column] = (*found.get(column, ()), feature.half_life_days)
    days = tuple(sorted({layout.counter(f.source) for f in features if f.aggregate in DAYS_COUNTED}))
    return Wanted(windows, days, maxima, by_aggregate[Aggregate.DECAYED], by_aggregate[Aggregate.DECAYED_DAYS])


def _column(layout: Layout, feature: Feature) -> Column:
    if feature.aggregate is Aggregate.IS:
        return _is(layout, feature)
    if feature.aggregate in AVERAGED:
        return _averaged(layout, feature)
    if feature.aggregate in RHYTHMIC:
        return _rhythmic(feature)
    column = layout.counter(feature.source)
    scale = layout.declaration.counters[feature.source].scale
    return _of_counter(feature, column, scale)


def _of_counter(feature: Feature, column: int, scale: int) -> Column:
    window, half_life = feature.window_days, feature.half_life_days
    columns: dict[Aggregate, Column] = {
        Aggregate.SUM: lambda facts, sums: sums.units[window][:, column] / scale,
        Aggregate.DAYS: lambda facts, sums: sums.days[window, column].astype(np.float64),
        Aggregate.MAX: lambda facts, sums: sums.largest[window][:, column] / scale,
        Aggregate.TOTAL: lambda facts, sums: facts.totals[:, column] / scale,
        Aggregate.TREND: lambda facts, sums: _pace(sums.units[SHORT_DAYS][:, column], sums.units[LONG_DAYS][:, column]),
        Aggregate.TREND_DAYS: lambda facts, sums: _pace(sums.days[SHORT_DAYS, column], sums.days[LONG_DAYS, column]),
        Aggregate.DECAYED: lambda facts, sums: sums.decayed[column, half_life] / (scale * DECAY_ONE),
        Aggregate.DECAYED_DAYS: lambda facts, sums: sums.decayed_days[column, half_life] / DECAY_ONE,
        Aggregate.DAYS_SINCE_LAST: lambda facts, sums: _age(facts.lasts[:, column], NEVER, facts.day, feature.cap),
        Aggregate.DAYS_SINCE_FIRST: lambda facts, sums: _age(
            facts.firsts[:, column], NEVER_YET, facts.day, feature.cap
        ),
    }
    return columns[feature.aggregate]


def _averaged(layout: Layout, feature: Feature) -> Column:
    column, per = layout.counter(feature.source), layout.counter(feature.per)
    counters = layout.declaration.counters
    scale = counters[feature.source].scale / counters[feature.per].scale

    def mean(sums: Sums, days: int) -> Float64s:
        return ratio(sums.units[days][:, column], sums.units[days][:, per]) / scale

    if feature.aggregate is Aggregate.MEAN_TOTAL:
        return lambda facts, sums: ratio(facts.totals[:, column], facts.totals[:, per]) / scale
    if feature.aggregate is Aggregate.MEAN:
        return lambda facts, sums: mean(sums, feature.window_days)
    return lambda facts, sums: ratio(mean(sums, SHORT_DAYS), mean(sums, LONG_DAYS))


def _rhythmic(feature: Feature) -> Column:
    if feature.aggregate is Aggregate.WEEK_DAYS:
        return lambda facts, sums: sums.rhythm.week(feature.week)
    # The other aggregates of the calendar are properties of the same name.
    return lambda facts, sums: np.asarray(getattr(sums.rhythm, feature.aggregate.value), np.float64)


def _is(layout: Layout, feature: Feature) -> Column:
    column = layout.register(feature.source)
    code = layout.declaration.registers[feature.source].values.index(feature.value) + 1
    mask = (1 << CODE_BITS) - 1
    return lambda facts, sums: ((facts.registers[:, column] & mask) == code).astype(np.float64)


def _pace(short: Int64s, long: Int64s) -> Float64s:
    return ratio(short * LONG_DAYS, long * SHORT_DAYS)


def _age(days: Int32s, absent: int, today: int, cap: int) -> Float64s:
    age = np.clip(today - days.astype(np.int64), 0, cap).astype(np.float64)
    age[days == absent] = np.nan
    return age
