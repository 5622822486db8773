"""The picture of a year: how good what was served was, and what the loop did, over the days."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compose.simulation.bars import MEAN_DAYS
from compose.simulation.judging import Judged
from compose.simulation.timeline import Happening
from compose.simulation.year import Told

LIVE, NEVER, ORACLE, CHANGE = "#1b7f5c", "#c2571a", "#9aa5b1", "#f2e3c6"
ROWS = (
    ("alarms", ("alarm",), "#b3261e"),
    ("triggers", ("triggered",), "#7a5cb8"),
    ("trainings", ("registered",), "#5b6770"),
    ("promotions", ("promoted",), LIVE),
    ("rollbacks", ("rolled_back",), NEVER),
)
SIZE_INCHES = (11.0, 8.0)


def draw(told: Told, file: Path) -> None:
    """Write the plot of a year; the file's ending says in which format."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    losses, distances, steps = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.6))
    for axis in (losses, distances, steps):
        _shade(axis, told, named=axis is losses)
    _losses(losses, told.judged)
    _distances(distances, told.judged)
    _steps(steps, told.happenings)
    steps.set_xlabel("day of the year")
    figure.suptitle(f"{told.plan.name}: {told.plan.users:,} users, {told.plan.days} days, seed {told.plan.seed}")
    figure.savefig(file)


def _shade(axis: Any, told: Told, named: bool) -> None:
    for each in told.plan.episodes:
        axis.axvspan(each.start, min(each.end, told.plan.days), color=CHANGE, zorder=0)
        if named:
            axis.annotate(each.kind, (each.start, 1.0), xycoords=("data", "axes fraction"), fontsize=8, va="bottom")


def _losses(axis: Any, judged: Sequence[Judged]) -> None:
    days = [each.day for each in judged]
    axis.plot(days, [each.live for each in judged], color=LIVE, label="live")
    axis.plot(days, [each.never for each in judged], color=NEVER, label="never retrained")
    axis.plot(days, [each.oracle for each in judged], color=ORACLE, label="oracle")
    axis.set_ylabel("expected log loss")
    axis.legend(fontsize=8)


def _distances(axis: Any, judged: Sequence[Judged]) -> None:
    days = [each.day for each in judged]
    axis.plot(days, _smooth([each.distance for each in judged]), color=LIVE, label="live")
    axis.plot(days, _smooth([each.never_distance for each in judged]), color=NEVER, label="never retrained")
    axis.set_ylabel(f"distance to the oracle\n(mean of {MEAN_DAYS} days)")
    axis.set_ylim(bottom=0)


def _smooth(values: Sequence[float]) -> list[float]:
    spans = (values[max(0, end - MEAN_DAYS) : end] for end in range(1, len(values) + 1))
    return [sum(span) / len(span) for span in spans]


def _steps(axis: Any, happenings: Sequence[Happening]) -> None:
    for place, (_, steps, colour) in enumerate(ROWS):
        days = [each.day for each in happenings if each.step in steps and each.day >= 0]
        axis.plot(days, [place] * len(days), "|", color=colour, markersize=12, markeredgewidth=2)
    axis.set_yticks(range(len(ROWS)), [name for name, _, _ in ROWS])
    axis.set_ylim(-0.6, len(ROWS) - 0.4)
    axis.invert_yaxis()
