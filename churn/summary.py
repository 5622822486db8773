"""A declaration in words, one sentence a fact: what a state was made by, so that a refusal can say what changed."""

from collections.abc import Mapping

from churn.declaration import Counter, Declaration, Feature, Register

ORDER = "order of the features"
SHOWN = 8
"""Of each kind of change; a declaration of another business has hundreds."""


def summary(declaration: Declaration) -> dict[str, str]:
    """Return every fact that stored state and vectors depend on, by its name; equal when the feature set is."""
    return {
        "activity": ", ".join(sorted(declaration.activity_events)),
        **{f"counter {name}": _counter(counter) for name, counter in declaration.counters.items()},
        **{f"register {name}": _register(register) for name, register in declaration.registers.items()},
        **{f"feature {feature.name}": _feature(feature) for feature in declaration.features},
    }


def _counter(counter: Counter) -> str:
    added = ", ".join(f"{amount} by {event}" for event, amount in counter.adds.items())
    scale = f" in steps of 1/{counter.scale}" if counter.scale != 1 else ""
    return f"{counter.unit}{scale}: {added}"


def _register(register: Register) -> str:
    by = f"attribute {register.attribute}" if register.attribute else ", ".join(register.events)
    return f"{', '.join(register.values)} by {by}"


def _feature(feature: Feature) -> str:
    parts = [
        f"{feature.aggregate.value} of {feature.source}",
        f"per {feature.per}" if feature.per else "",
        f"over {feature.window_days} days" if feature.window_days else "",
        f"in week {feature.week}" if feature.week else "",
        f"with a half-life of {feature.half_life_days:g} days" if feature.half_life_days else "",
        f"up to {feature.cap}" if feature.cap else "",
        f"being {feature.value}" if feature.value else "",
    ]
    return " ".join(part for part in parts if part)


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Say in one sentence what changed from one summary to another.

    >>> difference({"counter a": "minutes: 1 by read"}, {"counter a": "hours: 1 by read", "feature b": "sum of a"})
    'new: feature b; changed: counter a (was minutes: 1 by read; is hours: 1 by read)'
    """
    new = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    changed = [
        f"{name} (was {before[name]}; is {after[name]})"
        for name in after
        if name in before and before[name] != after[name]
    ]
    parts = [
        f"{kind}: {_shown(names)}" for kind, names in (("new", new), ("gone", gone), ("changed", changed)) if names
    ]
    return "; ".join(parts) or f"changed: {ORDER}, counters or registers"


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
