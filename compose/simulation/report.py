"""What a simulated year is told in: lines for people, figures for programs."""

import math
import statistics
from collections import Counter
from typing import Any

from compose.simulation.bars import Bar, bars
from compose.simulation.timeline import Happening
from compose.simulation.year import Told

EXPLAINED = (
    "Log losses are those to be expected under each user's true probability, of all users active in the 30 days before a"
    " midnight, bots left out; the oracle says that probability itself, and the distance to it is the mean Kullback-Leibler"
    " divergence. It needs no labels and is free of the chance by which a user stays or leaves; the realised log loss, known"
    " 30 days later, stands beside it."
)


def timeline(told: Told) -> list[str]:
    """Return a line for each step of the loop and each change of the business, in the order of days."""
    steps = [(each.day, 1, each.says) for each in told.happenings]
    changes = [
        (day, 0, f"day {day:>3}  --- {each.kind} {word}")
        for each in told.plan.episodes
        for day, word in ((each.start, "begins"), (each.end, "has come to its end"))
    ]
    return [line for _, _, line in sorted([*steps, *changes], key=lambda row: row[:2])]


def summary(told: Told) -> list[str]:
    """Return what a year comes to: counts, realised losses, every bar."""
    found = figures(told)
    counts = ", ".join(f"{count} {step.replace('_', ' ')}" for step, count in found["steps"].items()) or "no steps"
    realised = found["realised"]
    return [
        f"{told.plan.name}: {len(told.judged)} days of {told.plan.users:,} users in {told.seconds / 60:.1f} minutes; {counts}",
        f"where the time went: {spent(told)}",
        f"realised log loss of {realised['days']} matured midnights: live {realised['live']:.4f},"
        f" never retrained {realised['never']:.4f}",
        *(bar.says for bar in bars_of(told)),
    ]


def spent(told: Told) -> str:
    """Say what the minutes were spent on."""
    trained = [seconds for day, seconds in enumerate(told.day_seconds) if day in told.training_days]
    others = [seconds for day, seconds in enumerate(told.day_seconds) if day not in told.training_days]
    usual = statistics.median(others) if others else 0.0
    return (
        f"{told.warm_up_seconds:.0f} s before the year, {sum(others):.0f} s on {len(others)} days ({usual:.2f} s each),"
        f" {sum(trained):.0f} s on {len(trained)} days with a training"
    )


def bars_of(told: Told) -> list[Bar]:
    """Return the bars of a year."""
    return bars(told.judged, told.happenings, told.plan.episodes)


def figures(told: Told) -> dict[str, Any]:
    """Return everything as data."""
    ripe = [each for each in told.judged if not math.isnan(each.realised_live + each.realised_never)]
    return {
        "plan": {
            "users": told.plan.users,
            "days": told.plan.days,
            "warm_up": told.plan.warm_up,
            "seed": told.plan.seed,
        },
        "episodes": [{"kind": each.kind, "start": each.start, "end": each.end} for each in told.plan.episodes],
        "seconds": round(told.seconds, 1),
        "spent": spent(told),
        "steps": dict(Counter(each.step for each in told.happenings)),
        "realised": {
            "days": len(ripe),
            "live": _mean([each.realised_live for each in ripe]),
            "never": _mean([each.realised_never for each in ripe]),
        },
        "bars": [vars(bar) for bar in bars_of(told)],
        "days": [{**vars(each), "distance": each.distance} for each in told.judged],
        "timeline": [_row(each) for each in told.happenings],
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _row(each: Happening) -> dict[str, Any]:
    return vars(each)
