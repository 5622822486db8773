"""The laws of time and events through Kafka; `tests/churn/test_laws.py` has each as a property of the core.

Replays by offset have their own tests: `test_faults.py` and `test_fault_points.py` kill workers at any moment.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from churn.topics import DEAD_LETTERS
from compose.processes import wait_until
from tests.stream_processors.road import START, Road, event, history, road

USERS, DAYS = 60, 40
HISTORY = history(USERS, days=DAYS, per_day=40)
TODAY = START + timedelta(days=DAYS - 1)


def session(user: str, at: datetime) -> tuple[str, bytes]:
    return event(user, "session_started", at, f"{user}-{at:%m%dT%H%M%S.%f}")


BORDER = TODAY - timedelta(days=6)
"""The first instant of the seven days that end with today."""
EDGE = [session("edge", BORDER), session("edge", BORDER - timedelta(microseconds=1))]
FIRST = [*EDGE, *(session(user, TODAY) for user in ("late", "old", "ahead"))]
LATE = [session("late", TODAY - timedelta(days=10))]
OLD = [event("old", "signed_up", TODAY - timedelta(days=35), "s"), session("old", TODAY - timedelta(days=31))]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """Return a road on which a live worker took a history out of order, in pieces of any size."""
    chance = np.random.default_rng(5)
    disorder = [HISTORY[n] for n in chance.permutation(len(HISTORY))]
    with road(tmp_path_factory.mktemp("laws"), CHURN_PARTITIONS="3") as found:
        found.stack.start_service("features")
        while disorder:
            size = int(chance.choice([1, 7, 100, 700]))
            found.publish(disorder[:size])
            del disorder[:size]
        found.publish(FIRST)
        yield found


def wait_for(under: Road, events: list[tuple[str, bytes]]) -> None:
    """Wait until the online store holds what one batch over these events, in the order of time, gives."""
    wanted = under.batch(events)
    wait_until(lambda: under.online(sorted(wanted)) == wanted, 60, "the online store equals one batch over all events")


def values(under: Road, user: str, *features: str) -> list[float]:
    vector = memoryview(under.online([user])[user] or b"").cast("f")
    return [vector[under.declaration.feature_names.index(feature)] for feature in features]


SESSIONS = ("sessions_7d", "sessions_14d", "sessions_30d")


def test_order_sizes_of_batches_and_partitions_change_no_bit(running: Road) -> None:
    wait_for(running, [*HISTORY, *FIRST])
    assert running.metrics("features")["churn_late_events_total"] > 0  # the disorder was real


def test_windows_are_half_open(running: Road) -> None:
    assert values(running, "edge", *SESSIONS) == [1.0, 2.0, 2.0]


def test_a_late_event_changes_exactly_the_windows_that_contain_it(running: Road) -> None:
    assert values(running, "late", *SESSIONS) == [1.0, 1.0, 1.0]
    before = running.metrics("features")["churn_late_events_total"]
    running.publish(LATE)
    wait_until(lambda: values(running, "late", *SESSIONS) == [1.0, 2.0, 2.0], 30, "the late event counts on its day")
    assert running.metrics("features")["churn_late_events_total"] == before + 1
    wait_for(running, [*HISTORY, *FIRST, *LATE])


def test_an_event_older_than_31_days_counts_into_lifetime_facts_and_a_metric(running: Road) -> None:
    assert np.isnan(values(running, "old", "days_since_signup")).all()
    before = running.metrics("features")["churn_expired_events_total"]
    running.publish(OLD)
    wait_until(lambda: values(running, "old", "days_since_signup") == [35.0], 30, "the sign-up is known")
    assert running.metrics("features")["churn_expired_events_total"] == before + 2
    assert values(running, "old", *SESSIONS) == [1.0, 1.0, 1.0]
    wait_for(running, [*HISTORY, *FIRST, *LATE, *OLD])


def test_an_event_of_the_future_becomes_a_letter_and_rolls_no_day(running: Road) -> None:
    before = running.metrics("features")
    running.publish([session("ahead", datetime.now(UTC) + timedelta(minutes=20))])
    wait_until(lambda: len(running.read(DEAD_LETTERS)) == 1, 30, "the dead letter")
    assert dict(running.read(DEAD_LETTERS)[0].headers() or [])["reason"] == b"future-dated"
    now = running.metrics("features")
    assert [now[n] - before[n] for n in ("churn_day_rolls_total", "churn_watermark_seconds")] == [0.0, 0.0]
    wait_for(running, [*HISTORY, *FIRST, *LATE, *OLD])


def test_duplicates_change_nothing(running: Road) -> None:
    before = running.metrics("features")
    running.publish([*HISTORY[::-1], *FIRST, *LATE, *OLD])
    count = len(HISTORY) + len(FIRST) + len(LATE) + len(OLD)

    def told(name: str) -> float:
        return running.metrics("features")[name] - before[name]

    wait_until(lambda: told("churn_duplicate_events_total") == count, 60, "every one is known again")
    assert told("churn_events_total") == 0.0
    wait_for(running, [*HISTORY, *FIRST, *LATE, *OLD])
    running.stack.check()
