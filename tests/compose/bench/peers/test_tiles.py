import numpy as np

from churn.layout import DAY_US
from compose.bench.peers import tiles
from compose.bench.peers.on_pathway import answer
from tests.compose.answers import stream_answers

NOW_US = 20_000 * DAY_US + 12 * 3_600_000_000
DATED = b'{"user_id":"u1","event_type":"%s","occurred_at":"2026-01-%02dT10:00:00Z","measures":{"minutes":12.5}}'


def done(*events: tuple[bytes, int]) -> tiles.Features:
    state = tiles.fresh()
    return [tiles.update(state, tiles.decode(DATED % event)) for event in events][-1]


def test_common_features_equal_those_of_the_stream() -> None:
    told = stream_answers()
    states: dict[str, tiles.State] = {}
    for user, value in told.events:
        tiles.update(states.setdefault(user, tiles.fresh()), tiles.decode(value))
    today = tiles.decode(told.events[-1][1]).occurred_at.toordinal()
    ours = told.matrix[:, [told.features.index(name) for name in tiles.NAMES]]
    theirs = [tiles.features(states[user][0], states[user][1], today) for user in told.users]
    np.testing.assert_array_equal(np.array(theirs, np.float32), ours)


def test_a_day_leaves_the_windows_one_after_another() -> None:
    values = done((b"session_started", 1), (b"quiz_submitted", 10))
    assert dict(zip(tiles.NAMES, values, strict=True)) == {
        "sessions_7d": 0,
        "sessions_14d": 1,
        "sessions_30d": 1,
        **dict.fromkeys(("lessons_7d", "lessons_14d", "lessons_30d"), 0),
        **dict.fromkeys(("minutes_7d", "minutes_14d", "minutes_30d"), 0),
        "active_days_7d": 1,
        "active_days_14d": 2,
        "active_days_30d": 2,
        "days_since_last_activity": 0,
    }


def test_events_without_activity_leave_the_last_active_day() -> None:
    assert done((b"lesson_completed", 1), (b"payment_succeeded", 4))[-1] == 3
    assert done((b"payment_succeeded", 4))[-1] is None


def test_tiles_by_date_make_the_same_row() -> None:
    state = tiles.fresh()
    for event in ((b"session_started", 1), (b"lesson_completed", 10)):
        values = tiles.update(state, tiles.decode(DATED % event))
    by_date = (("2026-01-10", 0, 1, 1250, 1), ("2026-01-01", 1, 0, 0, 1))
    assert answer("u1", by_date) == tiles.row("u1", values)
