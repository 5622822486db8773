"""Small histories for tests: a declaration with every aggregate, records of it, and a plain re-computation."""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from churn.admission import Admission, Admitted
from churn.declaration import parse
from churn.layout import DAY_US, layout_of
from churn.partition import Partition
from churn.records import Record

LEAVING = """
business: test
events: {visit: {activity: true}, left: {}}
registers: {standing: {events: {visit: here, left: gone}}}
features:
  silent: {days_since_last: activity, cap: 90, says: a}
  gone: {is: standing, value: gone, says: b}
label: {horizon_days: 30, exclude: {standing: gone}}
"""
LEAVERS = parse(LEAVING, "test")
"""A business whose users can be known to be gone."""

DECLARATION = parse(
    """
business: test
version: 1
events:
  joined: {description: joined}
  read: {activity: true, measures: {minutes: {min: 0, max: 1000}}}
  paid: {measures: {amount: {min: 0, max: 1000, optional: true}}}
  failed: {}
counters:
  joins: {unit: joins, adds: {joined: 1}}
  reads: {unit: reads, adds: {read: 1}}
  minutes: {unit: minutes, scale: 100, adds: {read: minutes}}
  paid: {unit: money, scale: 100, adds: {paid: amount}}
registers:
  plan: {attribute: plan, values: [free, pro]}
  standing: {events: {paid: good, failed: failing}}
features:
  reads_{window}d: {sum: reads, windows: [1, 7, 30], says: "{value} reads in {window} days"}
  days_{window}d: {days: activity, windows: [7, 30], says: "{value} days"}
  mean_{window}d: {mean: minutes, per: reads, windows: [7], says: "mean {value}"}
  most_{window}d: {max: minutes, windows: [7], says: "most {value}"}
  total: {total: paid, says: "paid {value}"}
  pace: {trend: reads, says: "pace {value}"}
  pace_days: {trend_days: activity, says: "pace {value}"}
  pace_mean: {trend_mean: minutes, per: reads, says: "pace {value}"}
  decayed_{half_life}d: {decayed: minutes, half_lives: [2], says: "decayed {value}"}
  decayed_days_{half_life}d: {decayed_days: activity, half_lives: [5], says: "decayed {value}"}
  last: {days_since_last: activity, cap: 40, usual: gap, says: "silent for {value} days (usually {usual})"}
  first: {days_since_first: joins, cap: 60, says: "joined {value} days ago"}
  plan_{value}: {is: plan, says: "plan is {value}"}
  failing: {is: standing, value: failing, says: "payment failing"}
  week_{week}: {week_days: activity, weeks: [1, 2, 9], says: "{value} days"}
  weeks: {weeks_active: activity, says: "{value} weeks"}
  streak: {week_streak: activity, says: "{value} weeks"}
  missed: {missed_days: activity, says: "{value} days"}
  gap: {gap_mean: activity, says: "every {value} days"}
  spread: {gap_spread: activity, says: "spread {value}"}
  longest: {gap_longest: activity, says: "{value} days"}
  silence: {silence_to_mean: activity, says: "{value} times"}
  silence_longest: {silence_to_longest: activity, says: "{value} times"}
  surprise: {silence_surprise: activity, says: "{value}"}
  paid_mean: {mean_total: paid, per: reads, says: "{value}"}
label: {horizon_days: 30}
""",
    "test",
)
LAYOUT = layout_of(DECLARATION)
FIRST_DAY = 20_000
ADMISSION = Admission(LAYOUT, max_future_us=600_000_000)


@dataclass(frozen=True)
class Happening:
    """One event of a test history."""

    user: str
    kind: str
    at_us: int
    amount: float | None = None
    plan: str | None = None
    id: str = ""


def at(day: int, second: int = 0) -> int:
    """Return microseconds of a second of the test's day number."""
    return (FIRST_DAY + day) * DAY_US + second * 1_000_000


def record(happening: Happening, offset: int, arrived_us: int | None = None) -> Record:
    """Return a happening as a record of the topic; it arrives when it happens unless said otherwise."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=happening.at_us)
    measure = {"read": "minutes", "paid": "amount"}.get(happening.kind)
    event = {
        "event_id": happening.id or f"e{offset}",
        "user_id": happening.user,
        "event_type": happening.kind,
        "occurred_at": moment.isoformat(),
        "schema_version": 1,
        "measures": {measure: happening.amount} if measure and happening.amount is not None else None,
        "attributes": {"plan": happening.plan} if happening.plan else None,
    }
    wire = json.dumps({name: value for name, value in event.items() if value is not None}).encode()
    return Record(offset, happening.at_us if arrived_us is None else arrived_us, happening.user.encode(), wire)


def admitted(happenings: Sequence[Happening], first_offset: int = 0) -> Admitted:
    """Return happenings as admitted events, all arriving when the last one happened."""
    arrived = max((h.at_us for h in happenings), default=0)
    events, refusals = ADMISSION.admit([record(h, first_offset + i, arrived) for i, h in enumerate(happenings)])
    assert not refusals
    return events


def fed(
    happenings: Sequence[Happening], batch_size: int = 1000, until_day: int | None = None, user_ttl_days: int = 0
) -> Partition:
    """Return a partition that took the happenings in batches, and then saw its clock reach midnight of a day."""
    partition = Partition(LAYOUT, 0, user_ttl_days=user_ttl_days)
    for start in range(0, len(happenings), batch_size):
        part = happenings[start : start + batch_size]
        list(partition.ingest(admitted(part, start), start + len(part)))
    if until_day is not None:
        clock = partition.clock
        list(partition.advance(clock.arrived_us + at(until_day) - clock.watermark_us))
    return partition


def vectors(partition: Partition) -> dict[str, list[float]]:
    """Return each user's vector as of the partition's today; None stands for a missing value."""
    emission = partition.refresh()
    if emission is None:
        return {}
    names = partition.names(emission.slots)
    return {name: emission.matrix[i].tolist() for i, name in enumerate(names)}


def ratio(a: float, b: float) -> float:
    """Return a / b, NaN where nothing is divided by."""
    return a / b if b else math.nan


def latest(values: list[tuple[int, int]]) -> int:
    """Return what the latest (time, code) says, 0 without any."""
    return max(values, default=(0, 0))[1]


def expected(happenings: Sequence[Happening], user: str, today: int) -> list[float]:
    """Compute a user's vector the plain way, from the list of what happened to the user."""
    mine = [h for h in happenings if h.user == user]
    nan = math.nan

    def kind(name: str, days: int) -> list[Happening]:
        return [h for h in mine if h.kind == name and 0 <= today - h.at_us // DAY_US < days]

    def units(found: list[Happening]) -> int:
        return sum(round((h.amount or 0) * 100) for h in found)

    def active(days: int) -> set[int]:
        return {h.at_us // DAY_US for h in kind("read", days)}

    def by_day(days: int) -> dict[int, int]:
        return {d: units([h for h in kind("read", days) if h.at_us // DAY_US == d]) for d in active(days)}

    def mean(days: int) -> float:
        return ratio(units(kind("read", days)), len(kind("read", days))) / 100

    days_all = [h.at_us // DAY_US for h in mine if h.kind == "read"]
    joined = [h.at_us // DAY_US for h in mine if h.kind == "joined"]
    plan = latest([(h.at_us, {"free": 1, "pro": 2}.get(h.plan, 255)) for h in mine if h.plan])
    standing = latest([(h.at_us, {"paid": 1, "failed": 2}[h.kind]) for h in mine if h.kind in ("paid", "failed")])
    decay = sum(u * round(2**20 * 2 ** (-(today - d) / 2)) for d, u in by_day(31).items())
    decay_days = sum(round(2**20 * 2 ** (-(today - d) / 5)) for d in active(31))
    short, long = kind("read", 7), kind("read", 30)
    values = [
        *(float(len(kind("read", days))) for days in (1, 7, 30)),
        *(float(len(active(days))) for days in (7, 30)),
        mean(7),
        max(by_day(7).values(), default=0) / 100,
        units([h for h in mine if h.kind == "paid"]) / 100,
        ratio(len(short) * 30, len(long) * 7),
        ratio(len(active(7)) * 30, len(active(30)) * 7),
        ratio(mean(7), mean(30)) if long and units(long) else nan,
        decay / (100 * 2**20),
        decay_days / 2**20,
        float(min(today - max(days_all), 40)) if days_all else nan,
        float(min(today - min(joined), 60)) if joined else nan,
        float(plan == 1),
        float(plan == 2),
        float(standing == 2),
        *rhythm({today - d for d in days_all}),
        ratio(units([h for h in mine if h.kind == "paid"]), len([h for h in mine if h.kind == "read"])) / 100,
    ]
    return [float(np.float32(v)) for v in values]


def rhythm(ages: set[int]) -> list[float]:
    """Compute what follows from the ages of a user's active days, the plain way."""
    nan, known = math.nan, sorted(age for age in ages if 0 <= age < 63)
    weeks = [sum(1 for age in known if age // 7 == week) for week in range(9)]
    streak = next((n for n, days in enumerate(weeks) if not days), 9)
    missed = sum(sum(1 for b in known if b > 6 and b % 7 == a) for a in range(7) if a not in known) / 8
    facts = [float(weeks[0]), float(weeks[1]), float(weeks[8]), float(9 - weeks.count(0)), float(streak), missed]
    gaps = [late - early for early, late in itertools.pairwise(known)]
    if not gaps:
        return [*facts, *[nan] * 6]
    k, total = len(gaps), sum(gaps)
    root = math.sqrt(k * sum(gap * gap for gap in gaps) - total * total)
    silence = known[0]
    shares = [silence * k / total, silence / max(gaps), ratio(silence * k - total, root + k)]
    return [*facts, total / k, root / k, float(max(gaps)), *shares]


def same(left: Sequence[float], right: Sequence[float]) -> bool:
    """Compare bit by bit, NaN being equal to NaN."""
    return np.array_equal(np.array(left, np.float32).view(np.int32), np.array(right, np.float32).view(np.int32))


happenings = st.builds(
    Happening,
    user=st.sampled_from(["ann", "bob", "cem"]),
    kind=st.sampled_from(["joined", "read", "read", "read", "paid", "failed"]),
    at_us=st.builds(at, st.integers(0, 50), st.integers(0, 86_399)),
    amount=st.sampled_from([0.0, 0.5, 12.34, 1000.0]),
    plan=st.sampled_from([None, None, "free", "pro", "gold"]),
)
histories = st.lists(happenings, min_size=1, max_size=60)
