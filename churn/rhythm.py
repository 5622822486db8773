"""The days of the last nine weeks on which a user was active, as 63 bits, and what follows from them.

A calendar is one int64 a user: bit (day mod 64) says that the day had an activity. Setting a bit twice changes nothing,
so neither order nor number of the events matters; an event older than nine weeks sets none. Everything below is counted
in whole days; each division and the one square root is a single elementwise operation on exact integers.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from churn.layout import Float64s, Int64s

CALENDAR_DAYS = 63
"""Nine weeks; the 64th bit is nobody's, so that a day that has begun is told from the one 64 days before it."""
WEEKS = CALENDAR_DAYS // 7
SLOT_MASK = 63

TODAY = np.uint64(1 << SLOT_MASK)
WEEK_MASKS = [np.uint64(sum(1 << (SLOT_MASK - age) for age in range(start, start + 7))) for start in range(0, 63, 7)]
"""The days of each week, the last one first."""
WEEKDAY_MASKS = [np.uint64(sum(1 << (SLOT_MASK - age) for age in range(start + 7, 63, 7))) for start in range(7)]
"""The same weekday of the eight weeks before, for each day of the last week."""

UInt64s = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
"""Small counts: added up as bytes they cost an eighth of what they would as numbers of 64 bits."""


def bit_of(day: int) -> np.int64:
    """Return the bit of a day in a calendar.

    >>> int(bit_of(3)), int(bit_of(67)), int(bit_of(63))
    (8, 8, -9223372036854775808)
    """
    return np.uint64(1 << (day & SLOT_MASK)).astype(np.int64)


def bits_between(first_day: int, last_day: int) -> np.int64:
    """Return the bits of these days, both included.

    >>> int(bits_between(1, 3)), int(bits_between(4, 3)), int(bits_between(0, 70))
    (14, 0, -1)
    """
    days = range(max(first_day, last_day - SLOT_MASK), last_day + 1)
    return np.uint64(sum(1 << (day & SLOT_MASK) for day in days)).astype(np.int64)


def ages_of(calendars: Int64s, day: int) -> UInt64s:
    """Return calendars as seen on `day`: the highest bit is that day, the next one the day before, down to 62 days ago.

    >>> hex(ages_of(np.array([0b1011]), 3)[0])
    '0xb000000000000000'
    """
    bits, up = calendars.view(np.uint64), np.uint64(SLOT_MASK - (day & SLOT_MASK))
    # A shift by 64 is undefined; by 63 and then by one more it is not.
    turned = (bits << up) | ((bits >> (np.uint64(SLOT_MASK) - up)) >> np.uint64(1))
    return turned & ~np.uint64(1)


def still_known(calendars: Int64s, days: Int64s, today: int) -> Int64s:
    """Return calendars that were kept on these days without the bits that days up to `today` have taken since.

    >>> still_known(np.array([0b101, 0b101]), np.array([2, 2]), 66).tolist()
    [0, 0]
    >>> still_known(np.array([0b101, 0b101]), np.array([2, 64]), 64).tolist()
    [4, 5]
    """
    distinct, places = np.unique(days, return_inverse=True)
    kept = np.array([~bits_between(day + 1, today) for day in distinct.tolist()], np.int64)
    return calendars & kept[places]


def calendars_of(users: npt.NDArray[np.intp], ages: Int64s, count: int) -> UInt64s:
    """Return the calendars, as `ages_of` does, of `count` users from the ages of their active days.

    >>> [hex(bits) for bits in calendars_of(np.array([1, 1, 1]), np.array([0, 1, 63]), 2)]
    ['0x0', '0xc000000000000000']
    """
    bits = np.zeros(count, np.uint64)
    kept = (ages >= 0) & (ages < CALENDAR_DAYS)
    np.bitwise_or.at(bits, users[kept], np.uint64(1) << (SLOT_MASK - ages[kept]).astype(np.uint64))
    return bits


class Rhythm:
    """What the calendars of n users say, computed when it is asked for; NaN where it does not exist."""

    def __init__(self, ages: UInt64s) -> None:
        self._ages = ages

    def _count(self, mask: np.uint64) -> Bytes:
        """Return how many of these days were active; a mask costs a tenth of unpacked days."""
        count: Bytes = np.bitwise_count(self._ages & mask)
        return count

    @cached_property
    def _weeks(self) -> list[Bytes]:
        """Return active days by week, nine arrays [n]."""
        return [self._count(mask) for mask in WEEK_MASKS]

    @cached_property
    def _gaps(self) -> "Gaps":
        octets = self._ages.astype(">u8").view(np.uint8)
        # 64 places a user: the distance of two of them is that of their days.
        places = np.flatnonzero(np.unpackbits(octets).view(np.bool_))
        count, gaps = np.bitwise_count(self._ages).astype(np.int64), Gaps.none(len(self._ages))
        some = np.flatnonzero(count)
        if not len(some):
            return gaps
        ends = np.cumsum(count[some]) - 1
        starts = ends - count[some] + 1
        days = np.diff(places, append=0)
        # The earliest day of a user has none before it.
        days[ends] = 0
        gaps.silence[some], gaps.number[some] = places[starts] & SLOT_MASK, count[some] - 1
        gaps.total[some], gaps.squares[some] = places[ends] - places[starts], np.add.reduceat(days * days, starts)
        gaps.longest[some] = np.maximum.reduceat(days, starts)
        return gaps

    def week(self, number: int) -> Float64s:
        """Return the active days of a week: 1 is the last seven days, 2 the seven before."""
        return self._weeks[number - 1].astype(np.float64)

    @property
    def weeks_active(self) -> Float64s:
        """Return in how many of the nine weeks there was an activity."""
        active = np.zeros(len(self._ages), np.uint8)
        for days in self._weeks:
            active += days > 0
        return active.astype(np.float64)

    @property
    def week_streak(self) -> Float64s:
        """Return how many weeks in a row, the last one back, had an activity."""
        streak, on = np.zeros(len(self._ages), np.uint8), np.ones(len(self._ages), np.bool_)
        for days in self._weeks:
            on &= days > 0
            streak += on
        return streak.astype(np.float64)

    @property
    def missed_days(self) -> Float64s:
        """Return the days that the last week lacks by the user's own rhythm.

        A silent day of the last seven counts as much as its weekday was active in the eight weeks before.
        """
        missed, silent = np.zeros(len(self._ages), np.uint8), ~self._ages
        for age, mask in enumerate(WEEKDAY_MASKS):
            missed += self._count(mask) * np.bitwise_count(silent & (TODAY >> np.uint64(age)))
        return missed / np.float64(WEEKS - 1)

    @property
    def gap_mean(self) -> Float64s:
        """Return the mean days from one active day to the next; 1 for who comes daily."""
        return ratio(self._gaps.total, self._gaps.number)

    @property
    def gap_spread(self) -> Float64s:
        """Return the standard deviation of the gaps."""
        return ratio(self._gaps.root, self._gaps.number)

    @property
    def gap_longest(self) -> Float64s:
        """Return the longest gap."""
        return ratio(self._gaps.longest, np.minimum(self._gaps.number, 1))

    @property
    def silence_to_mean(self) -> Float64s:
        """Return the days since the last activity over the mean gap."""
        return ratio(self._gaps.silence * self._gaps.number, self._gaps.total)

    @property
    def silence_to_longest(self) -> Float64s:
        """Return the days since the last activity over the longest gap."""
        return ratio(self._gaps.silence, self._gaps.longest)

    @property
    def silence_surprise(self) -> Float64s:
        """Return by how many standard deviations (and a day) the silence is longer than the mean gap."""
        gaps = self._gaps
        over = ratio(gaps.silence * gaps.number - gaps.total, gaps.root + gaps.number)
        return np.where(gaps.number > 0, over, np.nan)


@dataclass(frozen=True)
class Gaps:
    """The gaps between the active days of n users, int64 [n]: silence until now, number, sum, squares, longest."""

    silence: Int64s
    number: Int64s
    total: Int64s
    squares: Int64s
    longest: Int64s

    @classmethod
    def none(cls, users: int) -> "Gaps":
        """Return the gaps of users who have none."""
        return cls(*(np.zeros(users, np.int64) for _ in range(5)))

    @cached_property
    def root(self) -> Float64s:
        """Return number times standard deviation; the integers below the root are exact."""
        return np.sqrt((self.number * self.squares - self.total * self.total).astype(np.float64))


def ratio(numerator: npt.NDArray[np.generic], denominator: npt.NDArray[np.generic]) -> Float64s:
    """Return numerator / denominator, NaN where that is nothing.

    >>> ratio(np.array([1, 1]), np.array([2, 0])).tolist()
    [0.5, nan]
    """
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
