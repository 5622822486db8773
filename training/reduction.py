"""Events reduced to one row per user and day, said once for every engine that Ibis compiles to: DuckDB and Spark.

The rows are in the integer units of the stream. Everything a vector needs follows from them: tiles, lifetime totals,
first and last days, registers, labels.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ibis
import ibis.expr.types as ir

from churn.declaration import Register
from churn.layout import CODE_BITS, DAY_US, Increment, Layout
from churn.slab import OTHER_CODE

EVENTS = "events"
"""The name under which a compiled text expects the events."""
Engine = Literal["duckdb", "pyspark"]
FIXED = {
    "partition": "int32",
    "offset": "int64",
    "event_id": "string",
    "user_id": "string",
    "event_type": "string",
    "occurred_at": "timestamp('UTC', 6)",
    "arrived_at": "timestamp('UTC', 6)",
    "extra": "string",
}
"""What every archive holds, beside `measure_<name>` and `attribute_<name>`; `number` is a key of our own making."""


def _micros(at: Any) -> Any:
    """Stand for an engine's own function of a time."""


def _entry_text(document: Any, path: Any) -> Any:
    """Stand for an engine's own function of a JSON text and a path."""


@dataclass(frozen=True)
class Words:
    """The two things for which Ibis has no word that both engines understand.

    Attributes:
        micros: microseconds since 1970 of a time.
        entry: the text at a place in a JSON document, null without it.
        place: how that place is written, `{kind}` and `{name}` given.
    """

    micros: Callable[[Any], ir.IntegerValue]
    entry: Callable[[Any, Any], ir.StringValue]
    place: str


def _words(micros: str, entry: str, place: str) -> Words:
    time_to_micros = ibis.udf.scalar.builtin(_micros, name=micros, signature=((FIXED["occurred_at"],), "int64"))
    document_to_text = ibis.udf.scalar.builtin(_entry_text, name=entry, signature=(("string", "string"), "string"))
    return Words(time_to_micros, document_to_text, place)


WORDS: Mapping[Engine, Words] = {
    "duckdb": _words("epoch_us", "json_extract_string", '$.{kind}s."{name}"'),
    "pyspark": _words("unix_micros", "get_json_object", "$.{kind}s['{name}']"),
}


def events_table(columns: Iterable[str]) -> ir.Table:
    """Return a table without rows that stands for events with these columns."""
    kinds = {name: FIXED.get(name) or _kind(name) for name in sorted(columns)}
    return ibis.table(kinds, name=EVENTS)


def _kind(column: str) -> str:
    if column == "number":
        return "int64"
    return "float64" if column.startswith("measure_") else "string"


def by_key_and_day(layout: Layout, key: str, events: ir.Table, engine: Engine) -> ir.Table:
    """Return one row per key and UTC day: partition, events, units, fed and registers, numbered as in the layout."""
    words = WORDS[engine]
    declared = events.filter(events.event_type.isin(layout.event_types))
    read = declared.mutate(
        at_us=words.micros(declared.occurred_at),
        **{_value("measure", name): _measure(declared, name, words) for name in measures_of(layout)},
        **{_value("attribute", name): _entry(declared, "attribute", name, words) for name in attributes_of(layout)},
    )
    reading = Reading(layout, read)
    registers = enumerate(layout.declaration.registers.values())
    counters = range(len(layout.counters))
    return read.group_by(read[key], day=(read.at_us // DAY_US).cast("int32")).agg(
        partition=read["partition"].max(),
        events=read.count(),
        **{f"units_{number}": reading.units(number) for number in counters},
        **{f"fed_{number}": reading.fed(number) for number in counters},
        **{f"register_{number}": reading.register(register) for number, register in registers},
    )


def users_of(layout: Layout, events: ir.Table, engine: Engine) -> ir.Table:
    """Return each user with the first day that is not wholly seen: that of the latest event of the user's partition."""
    declared = events.filter(events.event_type.isin(layout.event_types))
    day = (WORDS[engine].micros(declared.occurred_at) // DAY_US).cast("int32")
    # One row per user and partition before anything is read twice: 100 M events are a million of these.
    seen = declared.group_by("user_id", "partition").agg(day=day.max())
    users = seen.group_by("user_id").agg(partition=seen["partition"].max())
    ends = seen.group_by("partition").agg(observed_until=seen.day.max())
    return users.join(ends, "partition").select("user_id", "observed_until")


def measures_of(layout: Layout) -> list[str]:
    """Return the measures that some counter adds, each once."""
    added = (increment.measure for increments in layout.increments for increment in increments)
    return sorted({measure for measure in added if measure})


def attributes_of(layout: Layout) -> list[str]:
    """Return the attributes that some register remembers, each once."""
    return sorted({r.attribute for r in layout.declaration.registers.values() if r.attribute})


def _value(kind: str, name: str) -> str:
    return f"value_of_{kind}_{name}"


def _measure(events: ir.Table, name: str, words: Words) -> ir.Value:
    return ibis.coalesce(_entry(events, "measure", name, words), 0.0)


def _entry(events: ir.Table, kind: str, name: str, words: Words) -> ir.Value:
    """Return where a measure or attribute lies: its column, or `extra` from before it was declared."""
    column = f"{kind}_{name}"
    places: list[ir.Value] = [events[column]] if column in events.columns else []
    if "extra" in events.columns:
        kept = words.entry(events.extra, ibis.literal(words.place.format(kind=kind, name=name)))
        places.append(kept.try_cast("float64") if kind == "measure" else kept)
    return ibis.coalesce(*places) if places else ibis.null("float64" if kind == "measure" else "string")


@dataclass(frozen=True)
class Reading:
    """How a declaration counts events whose values were read."""

    layout: Layout
    events: ir.Table

    def units(self, counter: int) -> ir.Value:
        """Return the units of a counter, summed."""
        cases = [
            (self.events.event_type == event, self._added(increment))
            for event, increments in zip(self.layout.event_types, self.layout.increments, strict=True)
            for increment in increments
            if increment.counter == counter
        ]
        nothing = self.events.at_us * 0
        return (ibis.cases(*cases, else_=_whole(0)) if cases else nothing).sum()

    def fed(self, counter: int) -> ir.Value:
        """Return whether any event feeds a counter."""
        feeding = [
            event
            for event, increments in zip(self.layout.event_types, self.layout.increments, strict=True)
            if any(increment.counter == counter for increment in increments)
        ]
        # Without any it must still be a column, not a constant, to be aggregated.
        return (self.events.event_type.isin(feeding) if feeding else self.events.event_type.isnull()).any()

    def register(self, register: Register) -> ir.Value:
        """Return the latest code with its time, 0 without one."""
        code = self._attribute_code(register) if register.attribute else self._event_code(register)
        return ibis.coalesce((self.events.at_us * (1 << CODE_BITS) + code).max(), _whole(0))

    def _added(self, increment: Increment) -> ir.Value:
        if not increment.measure:
            return _whole(increment.units)
        return rounded(self.events[_value("measure", increment.measure)] * float(increment.scale))

    def _attribute_code(self, register: Register) -> ir.Value:
        value = self.events[_value("attribute", register.attribute or "")]
        listed = [(value == known, _whole(code)) for code, known in enumerate(register.values, 1)]
        return ibis.cases((value.isnull(), ibis.null("int64")), *listed, else_=_whole(OTHER_CODE))

    def _event_code(self, register: Register) -> ir.Value:
        listed = [
            (self.events.event_type == event, _whole(register.values.index(value) + 1))
            for event, value in register.events.items()
        ]
        return ibis.cases(*listed, else_=ibis.null("int64"))


def rounded(value: ir.Value) -> ir.Value:
    """Return a number >= 0 as an integer, halves to the even one, as numpy's rint does in the stream.

    The engines' own rounding differs (a cast rounds halves to even in DuckDB and cuts in Spark, `round` takes halves up
    in both); the fraction of a double is exact, so that comparing it with a half decides alike everywhere.
    """
    whole = value.floor()
    fraction = value - whole
    up = ibis.cases((fraction > 0.5, _whole(1)), (fraction < 0.5, _whole(0)), else_=whole % 2)
    return whole + up


def _whole(value: int) -> ir.IntegerScalar:
    return ibis.literal(value, "int64")


_TEXTS: dict[tuple[object, ...], str] = {}
"""Compiling takes 30 ms, and a process meets few declarations and sets of columns."""


def reducing_query(layout: Layout, key: str, columns: Iterable[str], engine: Engine) -> str:
    """Return an engine's query of `by_key_and_day` over EVENTS with these columns."""
    present = frozenset({*columns, key})
    asked = (layout.declaration.feature_set_version, layout.event_types, key, present, engine)
    if asked not in _TEXTS:
        _TEXTS[asked] = compiled(by_key_and_day(layout, key, events_table(present), engine), engine)
    return _TEXTS[asked]


def users_query(layout: Layout, columns: Iterable[str], engine: Engine) -> str:
    """Return an engine's query of `users_of` over EVENTS with these columns."""
    present = frozenset(columns)
    asked = (layout.event_types, present, engine)
    if asked not in _TEXTS:
        _TEXTS[asked] = compiled(users_of(layout, events_table(present), engine), engine)
    return _TEXTS[asked]


def compiled(table: ir.Table, engine: Engine) -> str:
    """Return the query of an engine; it reads the events by the name EVENTS.

    DuckDB sums integers into 128 bits, which numpy does not know: they are cut to what they are.
    """
    getattr(ibis, engine)  # loads the engine's options, which its compiler looks at
    text = str(ibis.to_sql(table, dialect=engine))
    if engine != "duckdb":
        return text
    sums = [name for name in table.columns if name.startswith("units_")]
    cut = ", ".join(f"{name}::BIGINT AS {name}" for name in sums)
    return f"SELECT * REPLACE ({cut}) FROM ({text})" if sums else text  # noqa: S608  # names of ours
