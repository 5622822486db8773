"""A campaign as a table for people and as figures for programs."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from compose.chaos.campaign import MAX_OUTAGE_CPU, MAX_OUTAGE_TIMES_USUAL, Outage, Result

SHOWN_DIFFERENCES = 5


def figures(result: Result) -> dict[str, Any]:
    """Return everything as plain data."""
    return {
        "faults": {kind: spread(seconds) for kind, seconds in _recoveries(result).items()},
        "faults_in_all": len(result.faults),
        "points_not_reached": result.unreached,
        "hindered": result.hindered,
        "outages": [
            {"server": o.server, "seconds": o.seconds, "worker_cores": o.cores, "usual_worker_cores": o.usual}
            for o in result.outages
        ],
        "pause_seconds": {cause: spread(seconds) for cause, seconds in _pauses(result).items()},
        "restarts_unasked": result.unasked,
        "load": result.figures,
        "differences": {what: {"count": len(found), "first": found[:SHOWN_DIFFERENCES]} for what, found in result.differences.items()},
        "spinning": spinning(result),
    }  # fmt: skip


def spinning(result: Result) -> list[str]:
    """Return the workers that used more of a core than they may while a server was away."""
    return [
        f"{name} used {cores:.0%} of a core while {o.server} was away, {o.usual.get(name, 0.0):.0%} just before"
        for o in result.outages
        for name, cores in o.cores.items()
        if cores > allowed(o, name)
    ]


def allowed(outage: Outage, name: str) -> float:
    """Return what a worker may use of a core during an outage."""
    return max(MAX_OUTAGE_CPU, MAX_OUTAGE_TIMES_USUAL * outage.usual.get(name, 0.0))


def spread(seconds: list[float]) -> dict[str, float | int | None]:
    """Return how many there are, and of those that were measured the median and the largest.

    >>> spread([1.0, float("nan"), 3.0])
    {'count': 3, 'median': 2.0, 'max': 3.0}
    """
    known = [value for value in seconds if not math.isnan(value)]
    middle, largest = (round(statistics.median(known), 2), round(max(known), 2)) if known else (None, None)
    return {"count": len(seconds), "median": middle, "max": largest}


def _recoveries(result: Result) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for fault in sorted(result.faults, key=lambda f: f.kind):
        found[fault.kind].append(fault.recovery_seconds)
    return found


def _pauses(result: Result) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for pause in sorted(result.pauses, key=lambda p: p.cause):
        found[pause.cause].append(pause.seconds)
    return found


def table(shown: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a report from its figures."""
    yield from _rows("fault", "recovery, s", shown["faults"])
    yield f"{shown['faults_in_all']} faults"
    yield ""
    yield from _rows("partition moved by", "pause, s", shown["pause_seconds"])
    yield ""
    for outage in shown["outages"]:
        used = ", ".join(f"{name} {cores:.3f}" for name, cores in outage["worker_cores"].items())
        yield f"{outage['server']} away for {outage['seconds']:g} s: cores used by {used}"
    yield f"ended unasked and started again: {shown['restarts_unasked'] or 'none'}"
    if shown["points_not_reached"]:
        yield f"points not reached: {', '.join(shown['points_not_reached'])}"
    yield from (f"hindered: {sentence}" for sentence in shown["hindered"])
    yield "load: " + ", ".join(f"{count:,} {what}" for what, count in shown["load"].items())
    yield ""
    yield from _differences(shown)


def _rows(first: str, what: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"{first:<34}{'count':>6}{what + ': median':>24}{'max':>8}"
    for name, row in rows.items():
        yield f"{name:<34}{row['count']:>6}{_number(row['median']):>24}{_number(row['max']):>8}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _differences(shown: Mapping[str, Any]) -> Iterator[str]:
    for what, found in shown["differences"].items():
        yield f"{what:<20}{found['count']:>6} differences"
        yield from (f"    {sentence}" for sentence in found["first"])
    yield from shown["spinning"]
