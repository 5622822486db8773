"""UTC days as numbers, counted from 1970."""

from datetime import date, timedelta

DAY_ZERO = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Return days since 1970.

    >>> day_number(date(1970, 1, 31))
    30
    """
    return (day - DAY_ZERO).days


def iso(day: int) -> str:
    """Return the date of a day number.

    >>> iso(30)
    '1970-01-31'
    """
    return (DAY_ZERO + timedelta(days=day)).isoformat()
