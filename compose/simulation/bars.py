"""The bars that the loop is held to, each a figure beside its bound; pure functions of what a year told.

Days are days of the year. A change that begins on day s is in the vectors of midnight s + 1 at the earliest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compose.simulation.judging import Judged
from compose.simulation.schedule import Episode
from compose.simulation.timeline import Happening
from producers.synthetic.oracle import HORIZON_DAYS

MOST_FALSE_ALARMS = 1
DETECTED_WITHIN_DAYS = 7
BACK_WITHIN = 1.1
BACK_AFTER_LABELS_DAYS = 30
OLDEST_DAYS = 7
MEAN_DAYS = 7
FORMER_DAYS = 14
QUIET_DAYS = 7
"""An alarm that sounds again within a week is one and the same."""


@dataclass(frozen=True)
class Bar:
    """One demand: `figure` and `bound` in words, and whether the first keeps to the second."""

    name: str
    figure: str
    bound: str
    passed: bool

    @property
    def says(self) -> str:
        """Return the line of the report."""
        return f"{'pass' if self.passed else 'MISS'}  {self.name}: {self.figure} (bar: {self.bound})"


@dataclass(frozen=True)
class Alarm:
    """A monitor's word about one thing, first heard on a day; `sources` names the monitor and what it is about."""

    day: int
    source: str


def alarms(happenings: Sequence[Happening]) -> list[Alarm]:
    """Return the alarms of a year: of one source that sounds again and again, the first time of each run."""
    heard: dict[str, int] = {}
    found = []
    for each in happenings:
        if each.step == "alarm" and each.day >= 0:
            source = source_of(each)
            if each.day - heard.get(source, -QUIET_DAYS - 1) > QUIET_DAYS:
                found.append(Alarm(each.day, source))
            heard[source] = each.day
    return found


def source_of(alarm: Happening) -> str:
    """Return the monitor of an alarm and what it is about."""
    told = alarm.evidence
    return " ".join(filter(None, (str(told.get("kind", "alarm")), str(told.get("what", "")))))


def false_alarms(found: Sequence[Alarm]) -> Bar:
    """Judge a year in which nothing changes: alarms of one day count once."""
    days = sorted({alarm.day for alarm in found})
    figure = f"{len(days)}" + (f" (on day {', '.join(map(str, days))})" if days else "")
    return Bar("false alarms", figure, f"at most {MOST_FALSE_ALARMS}", len(days) <= MOST_FALSE_ALARMS)


def detected(episode: Episode, found: Sequence[Alarm]) -> Bar:
    """Judge how soon after its start a change was told: the first alarm that began after it."""
    after = [alarm for alarm in found if alarm.day > episode.start]
    first = min((alarm.day for alarm in after), default=None)
    name, bound = f"{episode.kind} detected", f"within {DETECTED_WITHIN_DAYS} days"
    if first is None:
        return Bar(name, "never", bound, passed=False)
    sources = sorted({alarm.source for alarm in after if alarm.day == first})
    took = first - episode.start
    return Bar(name, f"after {took} days, by {_few(sources)}", bound, took <= DETECTED_WITHIN_DAYS)


def _few(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def distances(judged: Sequence[Judged], days: int = MEAN_DAYS) -> list[float]:
    """Return for each day the mean distance to the oracle over so many days up to it."""
    daily = [each.distance for each in judged]
    return [float(np.mean(daily[max(0, day + 1 - days) : day + 1])) for day in range(len(daily))]


def recovered(episode: Episode, judged: Sequence[Judged]) -> Bar:
    """Judge when, after a change has come to its end, the distance to the oracle is what it was before it."""
    name = f"log loss back after {episode.kind}"
    bound = f"within {BACK_WITHIN - 1:.0%} of its former distance {BACK_AFTER_LABELS_DAYS} days after labels matured"
    weekly = distances(judged)
    before = [each.distance for each in judged[max(0, episode.start - FORMER_DAYS) : episode.start]]
    deadline = episode.end + HORIZON_DAYS + BACK_AFTER_LABELS_DAYS
    if not before or deadline >= len(weekly):
        return Bar(name, f"the year ends before day {deadline}", bound, passed=False)
    former = float(np.mean(before))
    # A week that lies behind the end as a whole: the mean of one that began before it would look better than it is.
    behind = range(episode.end + MEAN_DAYS - 1, deadline + 1)
    day = next((day for day in behind if weekly[day] <= BACK_WITHIN * former), None)
    peak = max(weekly[episode.start : deadline + 1]) / former
    best = min(weekly[day] for day in behind) / former
    figures = f"former distance {former:.4f}, at most {peak:.2f} times that"
    if day is None:
        return Bar(name, f"not by day {deadline}: {best:.2f} times at best; {figures}", bound, passed=False)
    return Bar(name, f"{day - episode.end - HORIZON_DAYS:+d} days from matured labels; {figures}", bound, passed=True)


def beats_never(judged: Sequence[Judged]) -> Bar:
    """Judge whether the year went better than without the loop."""
    both = [each for each in judged if not math.isnan(each.never)]
    live, never, oracle = (
        float(np.mean([getattr(each, name) for each in both])) for name in ("live", "never", "oracle")
    )
    figure = f"log loss {live:.4f}, never retrained {never:.4f}, oracle {oracle:.4f}"
    return Bar("the loop against never retraining", figure, "lower", live < never)


def champion_age(happenings: Sequence[Happening], days: int) -> Bar:
    """Judge how old the champion grew at most, counted from when each began to serve."""
    served = [max(0, each.day) for each in happenings if each.step in ("promoted", "rolled_back")]
    ages = [later - earlier for earlier, later in zip(served, [*served[1:], days], strict=True)]
    oldest = max(ages, default=days)
    return Bar("champion's greatest age", f"{oldest} days", f"{OLDEST_DAYS} days", oldest <= OLDEST_DAYS)


def bars(judged: Sequence[Judged], happenings: Sequence[Happening], episodes: Sequence[Episode]) -> list[Bar]:
    """Return every bar of a year."""
    found = alarms(happenings)
    changes = [bar for each in episodes for bar in (detected(each, found), recovered(each, judged))]
    return [
        *(changes or [false_alarms(found)]),
        beats_never(judged),
        champion_age(happenings, len(judged)),
    ]
