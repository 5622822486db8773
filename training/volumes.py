"""Checks of how much came when: days without events, days that stand out, partitions that lag behind."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import log
from statistics import median

from churn.days import iso
from training.checks import Check, Verdict, listed
from training.profile import Profile

FEWEST_EVENTS_A_DAY = 50
"""Below it a day's volume is chance."""
OUTLYING, COLLAPSED = 4.0, 10.0
"""Times more or less than the same weekday of the weeks around; a public holiday takes half, rarely three quarters."""
COLLAPSED_DAYS, COLLAPSED_SHARE = 3, 0.05
"""So many days in a row, or this share of all, that are a tenth of the usual: the data is incomplete, people are not."""
LONGEST_GAP_SHARE = 0.2
SILENT_DAYS = 14


def missing_days(by_day: Mapping[int, int]) -> Check:
    """Check that every day from the first activity to the last has some."""
    days = range(min(by_day), max(by_day) + 1)
    missing = [day for day in days if day not in by_day]
    share = len(missing) / len(days)
    span = f"{iso(days[0])} to {iso(days[-1])}"
    if not missing:
        return Check("missing days", Verdict.PASSED, f"activity on each of {len(days)} days, {span}")
    verdict = Verdict.FAILED if share > LONGEST_GAP_SHARE else Verdict.WARNED
    advice = "a gap looks like silence of everybody: restore the archive of these days, or start after it"
    seen = f"no activity on {len(missing)} of {len(days)} days, {span}"
    return Check("missing days", verdict, seen, listed(map(iso, missing)), advice)


def volumes(by_day: Mapping[int, int]) -> Check:
    """Check that the activity of no day stands out from the same weekday around it."""
    ratios = dict(volume_ratios(by_day))
    low = [day for day, ratio in ratios.items() if ratio < 1 / COLLAPSED]
    odd = [day for day, ratio in ratios.items() if not 1 / OUTLYING <= ratio <= OUTLYING]
    if not odd:
        return Check("volumes", Verdict.PASSED, f"no day out of {len(by_day)} stands out")
    collapsed = longest_run(low) >= COLLAPSED_DAYS or len(low) >= max(COLLAPSED_DAYS, COLLAPSED_SHARE * len(ratios))
    shown = sorted(odd, key=lambda day: _oddity(ratios[day]))
    where = listed(f"{iso(day)} {ratios[day]:.2g} times the usual" for day in shown)
    seen = f"{len(odd)} days stand out, {len(low)} of them with less than a tenth of the usual"
    advice = "find out whether events were lost (bring them back) or sent twice, before a model takes it for behaviour"
    return Check("volumes", Verdict.FAILED if collapsed else Verdict.WARNED, seen, where, advice)


def stopped(by_type_and_day: Mapping[tuple[str, int], int], last_day: int) -> Check:
    """Check that no type of event ceased that used to come every day."""
    by_type: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for (kind, day), events in by_type_and_day.items():
        by_type[kind].append((day, events))
    ended = {
        kind: max(day for day, _ in found)
        for kind, found in by_type.items()
        if median(events for _, events in found) >= FEWEST_EVENTS_A_DAY
    }
    silent = {kind: day for kind, day in sorted(ended.items()) if last_day - day >= SILENT_DAYS}
    if not silent:
        return Check("silent types", Verdict.PASSED, f"none of {len(ended)} frequent types ceased")
    where = listed(f"{kind} since {iso(day)}" for kind, day in silent.items())
    advice = "check that its producer runs, and did not rename it"
    return Check("silent types", Verdict.WARNED, f"{len(silent)} frequent types ceased", where, advice)


def _oddity(ratio: float) -> float:
    return -abs(log(max(ratio, 1e-9)))


def volume_ratios(by_day: Mapping[int, int]) -> Iterator[tuple[int, float]]:
    """Yield each day's events against the median of the same weekday in the four weeks before and after.

    The first and last day are parts of days; a day is left out where fewer than three others tell what is usual, or where
    that is so little that chance decides.
    """
    first, last = min(by_day), max(by_day)
    for day in range(first + 1, last):
        others = [day + 7 * week for week in (-4, -3, -2, -1, 1, 2, 3, 4)]
        counts = [by_day.get(other, 0) for other in others if first < other < last]
        usual = median(counts) if len(counts) >= 3 else 0
        if usual >= FEWEST_EVENTS_A_DAY:
            yield day, by_day.get(day, 0) / usual


def longest_run(days: Sequence[int]) -> int:
    """Return the length of the longest run of days that follow each other.

    >>> longest_run([1, 2, 3, 7, 8])
    3
    """
    longest = length = 0
    for place, day in enumerate(days):
        length = length + 1 if place and day == days[place - 1] + 1 else 1
        longest = max(longest, length)
    return longest


def partitions(profile: Profile) -> Check:
    """Check that every partition reaches the same day."""
    latest = max(profile.partition_ends.values())
    behind = {p: latest - day for p, day in sorted(profile.partition_ends.items()) if latest - day > 1}
    if not behind:
        return Check("partitions", Verdict.PASSED, f"all {len(profile.partition_ends)} reach {iso(latest)}")
    where = listed(f"partition {partition} by {days} days" for partition, days in behind.items())
    advice = "let the archive worker catch up; labels of their users stay unknown until then"
    return Check("partitions", Verdict.WARNED, f"{len(behind)} end before {iso(latest)}", where, advice)
