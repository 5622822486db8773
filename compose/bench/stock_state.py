"""One user's state and features in plain Python, as someone would write them for a Faust table.

The same declaration gives the same numbers as `churn.features`, one user and one event at a time. The state is plain
JSON, because a table's changelog carries it: per UTC day one list of counts, and what is known over the lifetime.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from churn.declaration import AVERAGED, RHYTHMIC, TILE_DAYS, Aggregate, Feature
from churn.events import Event
from churn.features import DECAY_ONE, LONG_DAYS, SHORT_DAYS, decay_weight
from churn.layout import DAY_US, Layout
from churn.rhythm import CALENDAR_DAYS
from churn.scores import to_us
from compose.bench.stock_rhythm import rhythm, week_days

State = dict[str, Any]
Ints = list[int]


def fresh(layout: Layout) -> State:
    """Return the state of a user without any event."""
    counters, registers = len(layout.counters), len(layout.registers)
    return {
        "days": {},
        "active": [],
        "totals": [0] * counters,
        "lasts": [None] * counters,
        "firsts": [None] * counters,
        "registers": [[0, 0] for _ in range(registers)],
    }


class Counting:
    """Adds events to states."""

    def __init__(self, layout: Layout) -> None:
        self._counters = len(layout.counters)
        self._activity = layout.declaration.activity_events
        self._increments = dict(zip(layout.event_types, layout.increments, strict=True))
        self._registers = list(layout.declaration.registers.values())

    def add(self, state: State, event: Event) -> None:
        """Add one event; days that left every window are dropped."""
        occurred_us = to_us(event.occurred_at)
        day = occurred_us // DAY_US
        days = state["days"]
        tile = days.get(str(day))
        if tile is None:
            tile = days[str(day)] = [0] * self._counters
            for old in [key for key in days if int(key) <= day - TILE_DAYS]:
                del days[old]
        if event.event_type in self._activity and day not in state["active"]:
            state["active"] = [active for active in state["active"] if active > day - CALENDAR_DAYS] + [day]
        measures = event.measures or {}
        for increment in self._increments[event.event_type]:
            units = increment.units
            if increment.measure:
                units = round(measures.get(increment.measure, 0.0) * increment.scale)
            self._count(state, tile, increment.counter, units, day)
        self._remember(state, event, occurred_us)

    def _count(self, state: State, tile: Ints, counter: int, units: int, day: int) -> None:
        tile[counter] += units
        state["totals"][counter] += units
        last, first = state["lasts"][counter], state["firsts"][counter]
        state["lasts"][counter] = day if last is None else max(last, day)
        state["firsts"][counter] = day if first is None else min(first, day)

    def _remember(self, state: State, event: Event, occurred_us: int) -> None:
        attributes = event.attributes or {}
        for column, register in enumerate(self._registers):
            value = attributes.get(register.attribute) if register.attribute else register.events.get(event.event_type)
            if value is not None:
                code = register.values.index(value) + 1 if value in register.values else 0
                state["registers"][column] = max(state["registers"][column], [occurred_us, code])


@dataclass(frozen=True)
class Wanted:
    """Which sums the features of a declaration read."""

    windows: tuple[int, ...]
    half_lives: tuple[float, ...]
    maxima: bool
    rhythm: bool


class Sums:
    """Counts of a user per window, from the days that have any."""

    def __init__(self, state: State, day: int, wanted: Wanted) -> None:
        tiles = [(day - int(key), tile) for key, tile in state["days"].items()]
        tiles = [(age, tile) for age, tile in tiles if 0 <= age < TILE_DAYS]
        empty = [[0] * len(state["totals"])]
        columns = {w: list(zip(*([t for age, t in tiles if age < w] or empty), strict=True)) for w in wanted.windows}
        self.units = {w: list(map(sum, found)) for w, found in columns.items()}
        self.days = {w: [len(c) - c.count(0) for c in found] for w, found in columns.items()}
        self.largest = {w: list(map(max, found)) for w, found in columns.items()} if wanted.maxima else {}
        self.rhythm = rhythm(state["active"], day) if wanted.rhythm else {}
        self._weights = {h: [(decay_weight(age, h), tile) for age, tile in tiles] for h in wanted.half_lives}

    def decayed(self, half_life: float, counter: int) -> int:
        """Return the units of a counter, each weighted by its age."""
        return sum(weight * tile[counter] for weight, tile in self._weights[half_life])

    def decayed_days(self, half_life: float, counter: int) -> int:
        """Return the days with a counter, each weighted by its age."""
        return sum(weight for weight, tile in self._weights[half_life] if tile[counter])


Column = Callable[[State, Sums, int], float]


class PlainFeatures:
    """Computes one user's vector."""

    def __init__(self, layout: Layout) -> None:
        features = layout.declaration.features
        self._columns = [_column(layout, feature) for feature in features]
        self._wanted = Wanted(
            tuple({f.window_days for f in features if f.window_days} | {SHORT_DAYS, LONG_DAYS}),
            tuple({f.half_life_days for f in features if f.half_life_days}),
            any(f.aggregate is Aggregate.MAX for f in features),
            any(f.aggregate in RHYTHMIC for f in features),
        )

    def compute(self, state: State, day: int) -> list[float]:
        """Return the features as of a UTC day, in declared order; NaN where a value does not exist."""
        sums = Sums(state, day, self._wanted)
        return [column(state, sums, day) for column in self._columns]


def _column(layout: Layout, feature: Feature) -> Column:
    if feature.aggregate is Aggregate.IS:
        return _is(layout, feature)
    if feature.aggregate in AVERAGED:
        return _averaged(layout, feature)
    if feature.aggregate is Aggregate.WEEK_DAYS:
        return lambda state, _, day: week_days(state["active"], day, feature.week)
    if feature.aggregate in RHYTHMIC:
        return lambda _, sums, __: sums.rhythm[feature.aggregate]
    counter = layout.counter(feature.source)
    scale, window, half_life = (
        layout.declaration.counters[feature.source].scale,
        feature.window_days,
        feature.half_life_days,
    )
    columns: dict[Aggregate, Column] = {
        Aggregate.SUM: lambda _, sums, __: sums.units[window][counter] / scale,
        Aggregate.DAYS: lambda _, sums, __: float(sums.days[window][counter]),
        Aggregate.MAX: lambda _, sums, __: sums.largest[window][counter] / scale,
        Aggregate.TOTAL: lambda state, _, __: state["totals"][counter] / scale,
        Aggregate.TREND: lambda _, sums, __: _pace(sums.units, counter),
        Aggregate.TREND_DAYS: lambda _, sums, __: _pace(sums.days, counter),
        Aggregate.DECAYED: lambda _, sums, __: sums.decayed(half_life, counter) / (scale * DECAY_ONE),
        Aggregate.DECAYED_DAYS: lambda _, sums, __: sums.decayed_days(half_life, counter) / DECAY_ONE,
        Aggregate.DAYS_SINCE_LAST: lambda state, _, day: _age(state["lasts"][counter], day, feature.cap),
        Aggregate.DAYS_SINCE_FIRST: lambda state, _, day: _age(state["firsts"][counter], day, feature.cap),
    }
    return columns[feature.aggregate]


def _averaged(layout: Layout, feature: Feature) -> Column:
    counter, per = layout.counter(feature.source), layout.counter(feature.per)
    counters = layout.declaration.counters
    scale = counters[feature.source].scale / counters[feature.per].scale

    def mean(sums: Sums, days: int) -> float:
        return _ratio(sums.units[days][counter], sums.units[days][per]) / scale

    if feature.aggregate is Aggregate.MEAN_TOTAL:
        return lambda state, _, __: _ratio(state["totals"][counter], state["totals"][per]) / scale
    if feature.aggregate is Aggregate.MEAN:
        return lambda _, sums, __: mean(sums, feature.window_days)
    return lambda _, sums, __: _ratio(mean(sums, SHORT_DAYS), mean(sums, LONG_DAYS))


def _is(layout: Layout, feature: Feature) -> Column:
    column = layout.register(feature.source)
    code = layout.declaration.registers[feature.source].values.index(feature.value) + 1
    return lambda state, _, __: float(state["registers"][column][1] == code)


def _pace(sums: dict[int, Ints], counter: int) -> float:
    return _ratio(sums[SHORT_DAYS][counter] * LONG_DAYS, sums[LONG_DAYS][counter] * SHORT_DAYS)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _age(last: int | None, day: int, cap: int) -> float:
    return math.nan if last is None else float(min(max(day - last, 0), cap))
