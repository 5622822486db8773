"""What follows from the days of activity of nine weeks, in plain Python, for one user."""

import math
from itertools import pairwise

from churn.declaration import Aggregate
from churn.rhythm import CALENDAR_DAYS, WEEKS


def rhythm(active_days: list[int], today: int) -> dict[Aggregate, float]:
    """Return every aggregate of the calendar but the days of one week; NaN where a value does not exist."""
    known = sorted({today - day for day in active_days if 0 <= today - day < CALENDAR_DAYS})
    gaps = [late - early for early, late in pairwise(known)]
    weeks = [week_days(active_days, today, week) for week in range(1, WEEKS + 1)]
    lacking = [sum(1 for day in known if day > 6 and day % 7 == age) for age in range(7) if age not in known]
    found = {
        Aggregate.WEEKS_ACTIVE: float(WEEKS - weeks.count(0)),
        Aggregate.WEEK_STREAK: float(next((n for n, days in enumerate(weeks) if not days), WEEKS)),
        Aggregate.MISSED_DAYS: sum(lacking) / (WEEKS - 1),
    }
    return found | (_pauses(known[0], gaps) if gaps else dict.fromkeys(PAUSES, math.nan))


PAUSES = (
    *(Aggregate.GAP_MEAN, Aggregate.GAP_SPREAD, Aggregate.GAP_LONGEST),
    *(Aggregate.SILENCE_TO_MEAN, Aggregate.SILENCE_TO_LONGEST, Aggregate.SILENCE_SURPRISE),
)


def _pauses(silence: int, gaps: list[int]) -> dict[Aggregate, float]:
    number, total, longest = len(gaps), sum(gaps), max(gaps)
    root = math.sqrt(number * sum(gap * gap for gap in gaps) - total * total)
    mean, spread, over = total / number, root / number, (silence * number - total) / (root + number)
    values = (mean, spread, float(longest), silence * number / total, silence / longest, over)
    return dict(zip(PAUSES, values, strict=True))


def week_days(active_days: list[int], today: int, week: int) -> float:
    """Return the active days of a week: 1 is the last seven days."""
    return float(len({day for day in active_days if 7 * (week - 1) <= today - day < 7 * week}))
