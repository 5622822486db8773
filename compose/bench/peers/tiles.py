"""The common task in plain Python: day tiles of one user, and thirteen features of them.

State is plain lists, so that every engine can store it as it likes: `[last active day, [tile, ...]]`, where a tile is
`[day, sessions, lessons, hundredths of minutes, activities]` and days are counted from any fixed one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

WINDOWS = (7, 14, 30)
KEPT_DAYS = 31
ACTIVITY = frozenset({"session_started", "lesson_completed", "quiz_submitted"})
NAMES = (
    *(f"{what}_{days}d" for what in ("sessions", "lessons", "minutes", "active_days") for days in WINDOWS),
    "days_since_last_activity",
)
State = list[Any]
Features = list[float | None]
Tile = Sequence[int]


class Event(msgspec.Struct, gc=False):
    """The fields of an event that the task needs."""

    user_id: str
    event_type: str
    occurred_at: datetime
    measures: dict[str, float] | None = None


decode = msgspec.json.Decoder(Event).decode
encode = msgspec.json.Encoder().encode


def fresh() -> State:
    """Return the state of a user without any event."""
    return [None, []]


def update(state: State, event: Event) -> Features:
    """Add one event to the state, in place, and return the features as of its day.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 5, 10, tzinfo=UTC)
    >>> update(fresh(), Event("u1", "lesson_completed", at, {"minutes": 12.5}))[3:7]
    [1, 1, 1, 12.5]
    """
    day = event.occurred_at.toordinal()
    tile = tile_of(state[1], day)
    if event.event_type in ACTIVITY:
        tile[4] += 1
        state[0] = max(state[0] or day, day)
    if event.event_type == "session_started":
        tile[1] += 1
    elif event.event_type == "lesson_completed":
        tile[2] += 1
        tile[3] += round(100 * (event.measures or {}).get("minutes", 0.0))
    return features(state[0], state[1], day)


def tile_of(tiles: list[list[int]], day: int) -> list[int]:
    """Return the tile of a day; a new one drops those that left every window."""
    for tile in reversed(tiles):
        if tile[0] == day:
            return tile
    tiles[:] = [tile for tile in tiles if tile[0] > day - KEPT_DAYS]
    tiles.append([day, 0, 0, 0, 0])
    return tiles[-1]


def features(last_active_day: int | None, tiles: Sequence[Tile], day: int) -> Features:
    """Return the values of NAMES as of a day."""
    columns: list[tuple[int, int, float, int]] = []
    for window in WINDOWS:
        sessions = lessons = hundredths = active_days = 0
        for at, its_sessions, its_lessons, its_hundredths, its_activities in tiles:
            if day - window < at <= day:
                sessions += its_sessions
                lessons += its_lessons
                hundredths += its_hundredths
                active_days += its_activities > 0
        columns.append((sessions, lessons, hundredths / 100, active_days))
    silent_days = None if last_active_day is None else day - last_active_day
    return [*(value for row in zip(*columns, strict=True) for value in row), silent_days]


def row(user_id: str, values: Features) -> bytes:
    """Return what goes to the topic: a JSON list of the user and the values."""
    return encode([user_id, *values])
