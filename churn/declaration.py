"""What a business declares: events, counters, registers, features and the label, each once.

`parse` turns the declaration's text into frozen, checked data; everything else in the system (state layout,
streaming update, batch computation, Feast schema, model input order, documentation) is derived from it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import yaml

from churn.errors import DeclarationError
from churn.reading import Section

ACTIVITY_COUNTER = "activity"
TILE_DAYS = 31
UNQUOTABLE = frozenset("'\"\\")
MAX_WINDOW_DAYS = 30
CALENDAR_WEEKS = 9


class Aggregate(StrEnum):
    """How a feature follows from a counter or a register; the value is the key used in a declaration."""

    SUM = "sum"
    DAYS = "days"
    MEAN = "mean"
    MAX = "max"
    TOTAL = "total"
    TREND = "trend"
    TREND_DAYS = "trend_days"
    TREND_MEAN = "trend_mean"
    DECAYED = "decayed"
    DECAYED_DAYS = "decayed_days"
    MEAN_TOTAL = "mean_total"
    WEEK_DAYS = "week_days"
    WEEKS_ACTIVE = "weeks_active"
    WEEK_STREAK = "week_streak"
    MISSED_DAYS = "missed_days"
    GAP_MEAN = "gap_mean"
    GAP_SPREAD = "gap_spread"
    GAP_LONGEST = "gap_longest"
    SILENCE_TO_MEAN = "silence_to_mean"
    SILENCE_TO_LONGEST = "silence_to_longest"
    SILENCE_SURPRISE = "silence_surprise"
    DAYS_SINCE_LAST = "days_since_last"
    DAYS_SINCE_FIRST = "days_since_first"
    IS = "is"


WINDOWED = frozenset({Aggregate.SUM, Aggregate.DAYS, Aggregate.MEAN, Aggregate.MAX})
DECAYING = frozenset({Aggregate.DECAYED, Aggregate.DECAYED_DAYS})
RECENCY = frozenset({Aggregate.DAYS_SINCE_LAST, Aggregate.DAYS_SINCE_FIRST})
AVERAGED = frozenset({Aggregate.MEAN, Aggregate.TREND_MEAN, Aggregate.MEAN_TOTAL})
RHYTHMIC = frozenset(
    {
        *(Aggregate.WEEK_DAYS, Aggregate.WEEKS_ACTIVE, Aggregate.WEEK_STREAK, Aggregate.MISSED_DAYS),
        *(Aggregate.GAP_MEAN, Aggregate.GAP_SPREAD, Aggregate.GAP_LONGEST),
        *(Aggregate.SILENCE_TO_MEAN, Aggregate.SILENCE_TO_LONGEST, Aggregate.SILENCE_SURPRISE),
    }
)
"""Those that follow from the days of activity in the last nine weeks (`churn.rhythm`)."""


@dataclass(frozen=True)
class Measure:
    """A number that an event may carry, in [minimum, maximum]."""

    minimum: float
    maximum: float
    optional: bool


@dataclass(frozen=True)
class EventType:
    """One thing that users do; `activity` marks those that show a user is still there."""

    name: str
    activity: bool
    description: str
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class Counter:
    """A daily count per user in units of 1/scale; `adds` maps an event type to a number or a measure's name."""

    name: str
    unit: str
    scale: int
    adds: Mapping[str, int | str]


@dataclass(frozen=True)
class Register:
    """The latest of several values by event time, from an attribute or from the event types themselves."""

    name: str
    values: tuple[str, ...]
    attribute: str | None
    events: Mapping[str, str]


@dataclass(frozen=True)
class Feature:
    """One input of the model: an aggregate of one counter (or register) with the sentence that explains it.

    `usual` names the feature whose value stands for `{usual}` in the sentence; empty without one.
    """

    name: str
    aggregate: Aggregate
    source: str
    says: str
    per: str = ""
    window_days: int = 0
    half_life_days: float = 0.0
    cap: int = 0
    value: str = ""
    usual: str = ""
    week: int = 0


WORDS = frozenset({"says", "usual"})
"""What of a feature changes its sentence and not its value."""


@dataclass(frozen=True)
class Label:
    """Churn at t: active in (t - horizon, t] and silent in (t, t + horizon]; `exclude` names users known to be gone."""

    horizon_days: int = 30
    exclude: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Declaration:
    """One business, checked. `feature_set_version` changes when any fact does that features depend on."""

    business: str
    version: int
    events: Mapping[str, EventType]
    counters: Mapping[str, Counter]
    registers: Mapping[str, Register]
    features: tuple[Feature, ...]
    label: Label

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the features in the order of every vector."""
        return tuple(feature.name for feature in self.features)

    @property
    def feature_set_version(self) -> str:
        """Return 12 hex digits that name counters, registers and features as they are computed (not their words)."""
        computed = [tuple(v for k, v in vars(f).items() if k not in WORDS) for f in self.features]
        facts = (computed, _plain(self.counters), _plain(self.registers), sorted(self.activity_events))
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]

    @property
    def activity_events(self) -> tuple[str, ...]:
        """Return the event types that show a user is still there."""
        return tuple(name for name, event in self.events.items() if event.activity)

    def with_horizon(self, days: int) -> "Declaration":
        """Return the same business with churn over another horizon.

        Raises:
            DeclarationError: tiles do not reach so far.
        """
        if not 1 <= days <= MAX_WINDOW_DAYS:
            raise DeclarationError(f"a horizon is 1 to {MAX_WINDOW_DAYS} days, got {days}")
        return replace(self, label=replace(self.label, horizon_days=days))


def _plain(mapping: Mapping[str, object]) -> list[str]:
    return [repr(value) for value in mapping.values()]


def parse(text: str, where: str) -> Declaration:
    """Read and check a declaration; `where` names its origin in messages.

    Raises:
        DeclarationError: names the key that is wrong, what was seen and what would be right.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DeclarationError(f"{where}: not valid YAML: {error}") from error
    root = Section.root(where, document)
    declaration = _read(root)
    _check(root, declaration)
    return declaration


def _read(root: Section) -> Declaration:
    root.allow("business", "version", "events", "counters", "registers", "features", "label")
    events = {s.name: _event(s) for s in root.section("events").children()}
    counters = {s.name: _counter(s) for s in root.section("counters").children()}
    activity = {name: 1 for name, event in events.items() if event.activity}
    counters = {ACTIVITY_COUNTER: Counter(ACTIVITY_COUNTER, "activities", 1, activity)} | counters
    registers = {s.name: _register(s) for s in root.section("registers").children()}
    features = tuple(f for s in root.section("features").children() for f in _features(s, registers))
    return Declaration(
        root.text("business"),
        root.integer("version", 1),
        events,
        counters,
        registers,
        features,
        _label(root.section("label")),
    )


def _event(section: Section) -> EventType:
    section.allow("activity", "description", "measures")
    measures = {m.name: _measure(m) for m in section.section("measures").children()}
    return EventType(section.name, section.flag("activity"), section.text("description", ""), measures)


def _measure(section: Section) -> Measure:
    section.allow("min", "max", "optional")
    _refuse_quotes(section, section.name)
    measure = Measure(section.number("min", 0.0), section.number("max", 1e6), section.flag("optional"))
    if measure.minimum < 0 or measure.maximum < measure.minimum:
        # Saturating sums are order-free only for non-negative increments.
        raise section.error(f"0 <= min <= max is needed, got min {measure.minimum:g} and max {measure.maximum:g}")
    return measure


def _counter(section: Section) -> Counter:
    section.allow("unit", "scale", "adds")
    if section.name == ACTIVITY_COUNTER:
        raise section.error(
            "`activity` is counted by itself, from the events with `activity: true`; choose another name"
        )
    adds = {key: section.section("adds").amount(key) for key in section.section("adds").content}
    return Counter(section.name, section.text("unit"), section.integer("scale", 1), adds)


def _register(section: Section) -> Register:
    section.allow("attribute", "values", "events")
    events = section.section("events").texts()
    attribute = section.text("attribute", "") or None
    _refuse_quotes(section, attribute or "")
    if bool(events) == bool(attribute):
        raise section.error("give either `attribute` with `values`, or `events`")
    values = tuple(section.strings("values")) if attribute else tuple(dict.fromkeys(events.values()))
    if not 1 <= len(values) <= 250:
        raise section.error(f"1 to 250 values are needed, got {len(values)}")
    return Register(section.name, values, attribute, events)


def _refuse_quotes(section: Section, name: str) -> None:
    """Raise for a name that paths into JSON cannot hold alike in every engine that reads the archive."""
    if UNQUOTABLE & set(name):
        raise section.error(f"`{name}` holds a quote or a backslash; choose a plain name")


def _features(section: Section, registers: Mapping[str, Register]) -> list[Feature]:
    usual = section.text("usual", "")
    return [replace(feature, usual=usual) for feature in _computed(section, registers)]


def _computed(section: Section, registers: Mapping[str, Register]) -> list[Feature]:
    aggregate = _aggregate(section)
    source, says = section.text(aggregate.value), section.text("says")
    if aggregate in WINDOWED:
        section.allow(aggregate.value, "windows", *WORDS, *(["per"] if aggregate in AVERAGED else []))
        per = section.text("per") if aggregate in AVERAGED else ""
        return [_windowed(section, aggregate, source, says, per, days) for days in section.integers("windows")]
    if aggregate in DECAYING:
        section.allow(aggregate.value, "half_lives", *WORDS)
        return [_decayed(section, aggregate, source, says, days) for days in section.numbers("half_lives")]
    if aggregate is Aggregate.WEEK_DAYS:
        section.allow(aggregate.value, "weeks", *WORDS)
        return [_weekly(section, source, says, week) for week in section.integers("weeks")]
    if aggregate is Aggregate.IS:
        section.allow(aggregate.value, "value", *WORDS)
        return _one_hot(section, source, says, registers)
    if aggregate in RECENCY:
        section.allow(aggregate.value, "cap", *WORDS)
        return [Feature(section.name, aggregate, source, says, cap=section.integer("cap", 90))]
    section.allow(aggregate.value, *WORDS, *(["per"] if aggregate in AVERAGED else []))
    return [Feature(section.name, aggregate, source, says, per=section.text("per") if aggregate in AVERAGED else "")]


def _aggregate(section: Section) -> Aggregate:
    found = [aggregate for aggregate in Aggregate if aggregate.value in section.content]
    if len(found) != 1:
        known = ", ".join(a.value for a in Aggregate)
        raise section.error(f"exactly one of {known} is needed, got {[a.value for a in found] or 'none'}")
    return found[0]


def _windowed(section: Section, aggregate: Aggregate, source: str, says: str, per: str, days: int) -> Feature:
    if not 1 <= days <= MAX_WINDOW_DAYS:
        raise section.error(f"windows are 1 to {MAX_WINDOW_DAYS} days, got {days}")
    name, text = _fill(section.name, "window", days), _fill(says, "window", days)
    return Feature(name, aggregate, source, text, per=per, window_days=days)


def _decayed(section: Section, aggregate: Aggregate, source: str, says: str, days: float) -> Feature:
    if not 0.5 <= days <= 365:
        raise section.error(f"half lives are 0.5 to 365 days, got {days:g}")
    shown = f"{days:g}"
    name, text = _fill(section.name, "half_life", shown), _fill(says, "half_life", shown)
    return Feature(name, aggregate, source, text, half_life_days=days)


def _weekly(section: Section, source: str, says: str, week: int) -> Feature:
    if not 1 <= week <= CALENDAR_WEEKS:
        raise section.error(f"weeks are 1 (the last seven days) to {CALENDAR_WEEKS}, got {week}")
    name, text = _fill(section.name, "week", week), _fill(says, "week", week)
    return Feature(name, Aggregate.WEEK_DAYS, source, text, week=week)


def _one_hot(section: Section, source: str, says: str, registers: Mapping[str, Register]) -> list[Feature]:
    if source not in registers:
        raise section.error(f"register `{source}` is not declared; declared are {sorted(registers)}")
    only = section.text("value", "")
    values = (only,) if only else registers[source].values
    return [
        Feature(_fill(section.name, "value", v), Aggregate.IS, source, _fill(says, "value", v), value=v) for v in values
    ]


def _fill(template: str, key: str, value: object) -> str:
    return template.replace("{" + key + "}", str(value))


def _label(section: Section) -> Label:
    section.allow("horizon_days", "exclude")
    return Label(section.integer("horizon_days", 30), section.section("exclude").texts())


def _check(root: Section, declaration: Declaration) -> None:
    _check_events(root, declaration)
    _check_counters(root, declaration)
    _check_registers(root, declaration)
    _check_features(root, declaration)


def _check_events(root: Section, declaration: Declaration) -> None:
    if not declaration.activity_events:
        raise root.section("events").error("no event has `activity: true`, so churn is not defined")
    if not declaration.features:
        raise root.section("features").error("no feature is declared")
    horizon = declaration.label.horizon_days
    if not 1 <= horizon <= MAX_WINDOW_DAYS:
        raise root.section("label").error(f"horizon_days is 1 to {MAX_WINDOW_DAYS}, got {horizon}")


def _check_counters(root: Section, declaration: Declaration) -> None:
    for counter in declaration.counters.values():
        for event, amount in counter.adds.items():
            where = root.section("counters").error
            if event not in declaration.events:
                raise where(f"{counter.name}: event `{event}` is not declared")
            if isinstance(amount, str) and amount not in declaration.events[event].measures:
                raise where(f"{counter.name}: event `{event}` has no measure `{amount}`")


def _check_registers(root: Section, declaration: Declaration) -> None:
    for register in declaration.registers.values():
        for event in register.events:
            if event not in declaration.events:
                raise root.section("registers").error(f"{register.name}: event `{event}` is not declared")
    for name, value in declaration.label.exclude.items():
        if name not in declaration.registers or value not in declaration.registers[name].values:
            raise root.section("label").error(f"exclude: register `{name}` has no value `{value}`")


def _check_features(root: Section, declaration: Declaration) -> None:
    seen: set[str] = set()
    for feature in declaration.features:
        where = root.section("features").error
        known = declaration.registers if feature.aggregate is Aggregate.IS else declaration.counters
        if feature.source not in known or (feature.per and feature.per not in declaration.counters):
            raise where(f"{feature.name}: `{feature.source}` {feature.per} is not declared; known are {sorted(known)}")
        if feature.aggregate is Aggregate.IS and feature.value not in declaration.registers[feature.source].values:
            raise where(f"{feature.name}: register `{feature.source}` has no value `{feature.value}`")
        if feature.aggregate in RHYTHMIC and feature.source != ACTIVITY_COUNTER:
            raise where(f"{feature.name}: {feature.aggregate.value} is of `activity`, got `{feature.source}`")
        if feature.name in seen or "{" in feature.name:
            raise where(f"{feature.name}: the name stands twice or has an unfilled placeholder")
        seen.add(feature.name)
    _check_usual(root, declaration)


def _check_usual(root: Section, declaration: Declaration) -> None:
    for feature in declaration.features:
        where = root.section("features").error
        if feature.usual and feature.usual not in declaration.feature_names:
            raise where(f"{feature.name}: usual: no feature is named `{feature.usual}`")
        if bool(feature.usual) != ("{usual}" in feature.says):
            raise where(f"{feature.name}: `usual` and {{usual}} in `says` need each other")
