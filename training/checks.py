"""Checks of what an archive's events hold: pure functions of a profile, each with a verdict and what to do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from churn.declaration import Declaration
from training.profile import IDENTITY, Profile

MOST_REPEATED, MOST_OUTSIDE = 0.001, 0.001
"""Share of events: a few escape the duplicate horizon, or were accepted under wider limits; more is a fault."""
MOST_UNDECLARED, MOST_MISSING = 0.2, 0.5
SHOWN = 5
REQUIRED: Mapping[str, str] = {
    "partition": "INTEGER",
    "offset": "BIGINT",
    "event_id": "VARCHAR",
    "user_id": "VARCHAR",
    "event_type": "VARCHAR",
    "occurred_at": "TIMESTAMP WITH TIME ZONE",
    "arrived_at": "TIMESTAMP WITH TIME ZONE",
}


class Verdict(StrEnum):
    """What a check found."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "FAILED"


class Check(msgspec.Struct, frozen=True):
    """One check: what was seen, where, and what to do about it (empty when nothing is to be done)."""

    name: str
    verdict: Verdict
    seen: str
    where: str = ""
    advice: str = ""

    def text(self) -> str:
        """Return it as lines of a report."""
        lines = [f"{self.verdict.value:>6}  {self.name}: {self.seen}"]
        lines += [f"{'':8}where: {self.where}"] if self.where and self.verdict is not Verdict.PASSED else []
        lines += [f"{'':8}do: {self.advice}"] if self.advice else []
        return "\n".join(lines)


def columns_missing(missing: Sequence[str]) -> Check:
    """Fail for want of columns."""
    advice = "point CHURN_DATA_DIR at an archive that the archive worker wrote, or restore its files"
    return Check("schema", Verdict.FAILED, f"no column {', '.join(missing)}", "every file", advice)


def schema(profile: Profile) -> Check:
    """Check the types of columns."""
    wanted = {**REQUIRED, **dict.fromkeys((c for c in profile.columns if c.startswith("measure_")), "DOUBLE")}
    wanted |= dict.fromkeys((c for c in profile.columns if c.startswith("attribute_")), "VARCHAR")
    wrong = [
        f"{name} is {'/'.join(sorted(kinds))}, not {wanted[name]}"
        for name, kinds in profile.columns.items()
        if name in wanted and kinds != {wanted[name]}
    ]
    if wrong:
        advice = "write these files again from the topic (reset the archive's consumer group), or remove them"
        return Check("schema", Verdict.FAILED, "; ".join(wrong), "column types of the files", advice)
    return Check("schema", Verdict.PASSED, f"{len(profile.columns)} columns of the right types")


def identity(profile: Profile) -> Check:
    """Check that every event has what makes it one."""
    empty = {name: count for name, count in profile.missing.items() if count}
    if empty:
        seen = ", ".join(f"{count:,} without {name}" for name, count in sorted(empty.items()))
        return Check(
            "identity", Verdict.FAILED, seen, "rows of the archive", "remove what was not written by the stream"
        )
    return Check("identity", Verdict.PASSED, f"every one of {profile.events:,} events has {', '.join(IDENTITY)}")


def repeated(profile: Profile) -> Check:
    """Check that no event came twice."""
    share = profile.repeated / max(1, profile.events)
    seen = f"{profile.repeated:,} of {profile.events:,} events came more than once ({share:.2%})"
    if not profile.repeated:
        return Check("duplicates", Verdict.PASSED, "every event_id is there once")
    advice = "look for files that hold the same offsets twice, or a producer that sends an event again much later"
    return Check("duplicates", graded(share, MOST_REPEATED), seen, "event_id within a day", advice)


def graded(share: float, most: float) -> Verdict:
    """Return the verdict on a share of which none is best and more than `most` is too much."""
    if not share:
        return Verdict.PASSED
    return Verdict.WARNED if share <= most else Verdict.FAILED


def event_types(declaration: Declaration, profile: Profile) -> Check:
    """Check that the declaration knows the event types."""
    unknown = {kind: count for kind, count in profile.by_type.items() if kind not in declaration.events}
    share = sum(unknown.values()) / max(1, profile.events)
    if not unknown:
        return Check("event types", Verdict.PASSED, f"all {len(profile.by_type)} are declared")
    seen = f"{share:.1%} of the events are of types that are not declared and count for nothing"
    where = listed(f"{kind} ({count:,})" for kind, count in sorted(unknown.items(), key=lambda pair: -pair[1]))
    advice = "declare them, or use the declaration that the archive was written by (CHURN_DECLARATION)"
    return Check("event types", graded(share, MOST_UNDECLARED), seen, where, advice)


def unseen_types(declaration: Declaration, profile: Profile) -> Check:
    """Check that what is declared came."""
    active = [kind for kind in declaration.activity_events if profile.by_type[kind]]
    if not active:
        seen = f"none of the {len(declaration.activity_events)} activity events ever came, so everybody is gone"
        advice = "mark the events that show a user is there with `activity: true`"
        return Check("activity", Verdict.FAILED, seen, listed(declaration.activity_events), advice)
    unseen = [kind for kind in declaration.events if not profile.by_type[kind]]
    if unseen:
        advice = "check that its producer runs; features of it are constant"
        return Check(
            "unseen events", Verdict.WARNED, f"{len(unseen)} declared types never came", listed(unseen), advice
        )
    return Check("activity", Verdict.PASSED, "every declared event type came")


def measures(profile: Profile) -> Iterator[Check]:
    """Check that measures lie within their limits and are there."""
    for (kind, name), seen in sorted(profile.measures.items()):
        if seen.outside:
            share = seen.outside / seen.events
            text = f"{seen.outside:,} of {seen.events:,} outside the declared limits ({seen.smallest:g} to {seen.largest:g})"
            advice = "correct the producer's unit, or widen `min` and `max` of the declaration"
            yield Check("range", graded(share, MOST_OUTSIDE), text, f"{kind}.{name}", advice)
        if seen.missing and seen.missing / seen.events > MOST_MISSING:
            text = f"missing in {seen.missing / seen.events:.0%} of {seen.events:,} events"
            yield Check("missing values", Verdict.WARNED, text, f"{kind}.{name}", "features of it are of few events")
    if not any(seen.outside for seen in profile.measures.values()):
        yield Check("range", Verdict.PASSED, f"all values of {len(profile.measures)} measures within their limits")


def attributes(profile: Profile) -> Iterator[Check]:
    """Check that the declaration knows the values of attributes."""
    for name, seen in sorted(profile.attributes.items()):
        share = seen.undeclared / max(1, seen.present)
        if not share:
            yield Check("categories", Verdict.PASSED, f"all {seen.present:,} values are declared", name)
            continue
        text = f"{share:.1%} of {seen.present:,} values are not declared: {listed(sorted(seen.examples))}"
        advice = "add them to `values` of the register, or correct the producer; they count as `other`"
        yield Check("categories", graded(share, MOST_UNDECLARED), text, name, advice)


def listed(texts: Iterable[str]) -> str:
    """Return the first few, and how many more there are."""
    found = list(texts)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more
