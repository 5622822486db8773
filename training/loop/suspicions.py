"""What is suspicious about a day, given the weeks before it.

Counts are held against the same weekday of the last weeks; shares, means and values against all days of the last weeks.
What a change says is told apart where it can be. Events that stop or double, fields that are empty or cut off at a
limit, fields that nobody declared, refused events and machines are `quality`. A level that moved while the data are
whole (other prices, shorter lessons, more declined charges) is `behaviour`.

Measured on businesses of 5,000 users. Nine quiet histories of nine seeds, 485 days each: no finding with a bound of 6
deviations; of three of them none with 4, four with 3.5. Six years with drifts, in two orders over the seasons: a rise
in price is seen on its first day (prices never seen), an outage of payments on its first (declined charges five
times, payments a fifth of the usual), machines on their first (no plan, awake in twelve hours), a new type of lesson
on the third or fourth day (its minutes), and on its first where it carries a field that nobody declared.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from training.loop.day_figures import TIRELESS_HOURS, DayFigures, FieldFigures
from training.loop.finding import Kind

Array = npt.NDArray[np.float64]
WEEK_DAYS = 7
ROBUST = 1.4826
"""The standard deviation of a normal law in units of its median absolute deviation."""


class QualityPolicy(msgspec.Struct, frozen=True):
    """When a day is not like the weeks before.

    Attributes:
        weeks, least_weeks: how many are remembered, and below how many nothing is judged.
        bound: deviations; a quiet year holds some 15,000 comparisons.
        wander: how far a count moves within these weeks by season and growth, as a share of itself.
        least_change: of a count or mean as a share of itself, of a share in points: less concerns nobody.
        falls_silent, explodes: a count below this share of the usual, or above this multiple, is broken and not new.
        runs_away: the busiest user of a day has this multiple of the most that anybody had.
        least_rows: fewer say nothing.
        calm_days: after so many days without it an alarm may be raised again.
    """

    weeks: int = 8
    least_weeks: int = 3
    bound: float = 6.0
    wander: float = 0.1
    least_change: float = 0.1
    falls_silent: float = 0.5
    explodes: float = 2.0
    runs_away: float = 5.0
    least_rows: int = 20
    calm_days: int = 7


AS_MEASURED = QualityPolicy()


@dataclass(frozen=True)
class Suspicion:
    """Something about a day that is out of bounds; `key` names it from day to day."""

    key: str
    kind: Kind
    what: str
    seen: float
    bound: float
    says: str


def suspicions_of(policy: QualityPolicy, before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    """Yield everything about a day that is out of bounds; nothing before there are weeks to compare with."""
    if len(before) < policy.least_weeks * WEEK_DAYS:
        return
    yield from _counts(policy, before, today)
    yield from _fields(policy, before, today)
    yield from _undeclared(policy, before, today)
    yield from _machines(policy, before, today)
    yield from _refused(policy, before, today)


def _counts(policy: QualityPolicy, before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    yield from _count(policy, before, today, "events", [each.events for each in before], today.events)
    yield from _count(policy, before, today, "users", [each.users for each in before], today.users)
    for kind in sorted({*today.types, *before[-1].types}):
        past = [each.types.get(kind, 0) for each in before]
        yield from _count(policy, before, today, kind, past, today.types.get(kind, 0))


def _count(
    policy: QualityPolicy,
    before: Sequence[DayFigures],
    today: DayFigures,
    what: str,
    past: Sequence[int],
    seen: int,
) -> Iterator[Suspicion]:
    """Compare roots of counts: of a Poisson count their deviation is a half, whatever the count (Anscombe 1948)."""
    roots, weekdays = _roots(past), np.array([each.day for each in before]) % WEEK_DAYS
    usual_roots = {day: float(np.median(roots[weekdays == day])) for day in set(weekdays.tolist())}
    usual_root = usual_roots.get(today.day % WEEK_DAYS, float(np.median(roots)))
    residuals = roots - np.array([usual_roots[day] for day in weekdays.tolist()])
    scatter = max(1.0, ROBUST * float(np.median(np.abs(residuals))))
    scale = float(np.hypot(1.1 * scatter, policy.wander * usual_root / 2))
    deviations = (float(_roots([seen])[0]) - usual_root) / scale
    usual = (usual_root / 2) ** 2
    if abs(deviations) < policy.bound or abs(seen - usual) < policy.least_change * usual:
        return
    limit = (max(0.0, usual_root + np.sign(deviations) * policy.bound * scale) / 2) ** 2
    broken = seen < policy.falls_silent * usual or (what in ("events", "users") and seen > policy.explodes * usual)
    says = f"{seen} {what} where {usual:.0f} are usual on this weekday"
    yield Suspicion(f"count {what}", "quality" if broken else "behaviour", what, seen, float(limit), says)


def _roots(counts: Sequence[int]) -> Array:
    return 2 * np.sqrt(np.array(counts, np.float64) + 0.375)


def _fields(policy: QualityPolicy, before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    for name in sorted({*today.fields, *before[-1].fields}):
        past = [each.fields[name] for each in before if name in each.fields]
        recent = [each.fields[name] for each in before[-2:] if name in each.fields]
        now = today.fields.get(name)
        if now is None or len(past) < policy.least_weeks * WEEK_DAYS:
            continue
        yield from _missing(policy, name, past, now)
        yield from _at_limit(policy, name, past, now)
        yield from _unseen(policy, name, past, now)
        yield from _mean(policy, name, past, [*recent, now])


def _missing(policy: QualityPolicy, name: str, past: Sequence[FieldFigures], now: FieldFigures) -> Iterator[Suspicion]:
    rows, missing = sum(each.rows for each in past), sum(each.missing for each in past)
    if _more(policy, now.missing, now.rows, missing, rows):
        seen, usual = now.missing / now.rows, missing / rows
        says = f"{name} is missing on {seen:.0%} of its events where {usual:.0%} are usual"
        yield Suspicion(f"missing {name}", "quality", name, seen, usual + policy.least_change, says)


def _at_limit(policy: QualityPolicy, name: str, past: Sequence[FieldFigures], now: FieldFigures) -> Iterator[Suspicion]:
    rows, cut = sum(each.rows for each in past), sum(each.at_limit for each in past)
    if _more(policy, now.at_limit, now.rows, cut, rows):
        seen, usual = now.at_limit / now.rows, cut / rows
        says = f"{seen:.0%} of {name} are at the limit that is declared, where {usual:.0%} are usual: cut off, or a default"
        yield Suspicion(f"limit {name}", "quality", name, seen, usual + policy.least_change, says)


def _more(policy: QualityPolicy, now: int, now_rows: int, past: int, past_rows: int) -> bool:
    """Return whether a share has risen by more than chance allows, and by enough to matter."""
    if now_rows < policy.least_rows or not past_rows:
        return False
    usual = (past + 1) / (past_rows + 2)
    deviation = np.sqrt(usual * (1 - usual) * (1 / now_rows + 1 / past_rows))
    rise = now / now_rows - past / past_rows
    return bool(rise > policy.least_change and rise > policy.bound * deviation)


def _unseen(policy: QualityPolicy, name: str, past: Sequence[FieldFigures], now: FieldFigures) -> Iterator[Suspicion]:
    """Look for values that the weeks before never had, where values are few; other prices, another plan."""
    if not now.values or any(each.rows > each.missing and not each.values for each in past):
        return
    known = {value for each in past for value in each.values}
    fresh = {value: rows for value, rows in now.values.items() if value not in known}
    share = sum(fresh.values()) / now.rows
    if known and sum(fresh.values()) >= policy.least_rows and share > policy.least_change:
        says = f"{share:.0%} of {name} have values never seen in weeks: {', '.join(list(fresh)[:5])}"
        yield Suspicion(f"unseen {name}", "behaviour", name, share, policy.least_change, says)


def _mean(
    policy: QualityPolicy, name: str, past: Sequence[FieldFigures], latest: Sequence[FieldFigures]
) -> Iterator[Suspicion]:
    """Compare the mean of the latest days, today included, with the daily means of the weeks before."""
    rows = sum(each.rows - each.missing for each in latest)
    means = np.array([each.mean for each in past if each.rows > each.missing])
    spread = float(np.median([each.deviation for each in past if each.rows > each.missing] or [0.0]))
    if rows < policy.least_rows or not spread or latest[-1].rows == latest[-1].missing:
        return
    seen = sum(each.mean * (each.rows - each.missing) for each in latest) / rows
    usual = float(np.median(means))
    scale = max(spread / np.sqrt(rows), ROBUST * float(np.median(np.abs(means - usual))) / np.sqrt(len(latest)))
    least = max(policy.bound * scale, policy.least_change * abs(usual))
    if abs(seen - usual) > least:
        broken = abs(seen) > 5 * abs(usual) or abs(seen) < abs(usual) / 5
        says = f"{name} averages {seen:.4g} where {usual:.4g} is usual"
        kind: Kind = "quality" if broken else "behaviour"
        yield Suspicion(f"mean {name}", kind, name, seen, usual + float(np.sign(seen - usual)) * least, says)


def _undeclared(policy: QualityPolicy, before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    known: Counter[str] = Counter()
    for each in before:
        known.update(each.undeclared)
    for name, rows in today.undeclared.items():
        if not known[name] and rows >= policy.least_rows:
            says = f"{rows} events carry {name}, which they never did and no declaration names: declare it, or ask its sender"
            yield Suspicion(f"undeclared {name}", "quality", name, rows, policy.least_rows, says)


def _machines(policy: QualityPolicy, before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    usual = float(np.median([each.tireless for each in before]))
    # Quiet days have none on most days and five at most; a wave of 100 machines has sixty.
    bound = usual + policy.bound * np.sqrt(usual + 2)
    if today.tireless > bound:
        says = (
            f"{today.tireless} users are active in {TIRELESS_HOURS} different hours or more where {usual:.0f} are usual"
        )
        yield Suspicion("machines", "quality", "users", today.tireless, float(bound), f"{says}: machines")
    most = policy.runs_away * max(each.busiest for each in before)
    if today.busiest > max(most, policy.least_rows):
        usual_most = most / policy.runs_away
        says = f"one user has {today.busiest} events where {usual_most:.0f} were the most in weeks: a sender in a loop"
        yield Suspicion("busiest", "quality", "events of one user", today.busiest, most, says)


def _refused(policy: QualityPolicy, before: Sequence[DayFigures], today: DayFigures) -> Iterator[Suspicion]:
    rows = sum(each.events + each.dead_letters for each in before)
    refused = sum(each.dead_letters for each in before)
    arrived = today.events + today.dead_letters
    share, usual = today.dead_letters / max(1, arrived), refused / max(1, rows)
    bound = usual + max(0.01, policy.bound * float(np.sqrt((usual + 1e-4) / max(1, arrived))))
    if today.dead_letters >= policy.least_rows and share > bound:
        says = (
            f"{share:.1%} of the events were refused where {usual:.1%} are usual: see the dead letters for the reason"
        )
        yield Suspicion("refused", "quality", "dead letters", share, bound, says)
