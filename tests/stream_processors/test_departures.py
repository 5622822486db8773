"""A user who was silent for longer than is set leaves the online store and the state, and starts anew on return."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from churn.kafka_config import client_config
from churn.topics import USER_STATE
from compose.processes import wait_until
from stream_processors.changelog import read
from tests.stream_processors.road import START, Road, event, road

TTL_DAYS = 62


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("gone"), CHURN_PARTITIONS="1", CHURN_USER_TTL_DAYS=str(TTL_DAYS)) as found:
        found.stack.start_service("features")
        found.publish([lesson("ann", day(0)), lesson("bob", day(1)), lesson("cem", day(40))])
        assert found.wait_online_equals_truth() == 3
        yield found


def day(number: int) -> datetime:
    return START + timedelta(days=number, hours=10)


def lesson(user: str, at: datetime) -> tuple[str, bytes]:
    return event(user, "lesson_completed", at, f"{user}-{at:%m%d}")


def stored(under: Road) -> list[str]:
    topic = USER_STATE.name(under.settings.topic_prefix)
    return sorted(key.decode() for key in read(client_config(under.settings), topic, 0).users)


def known(under: Road) -> list[str]:
    rows = under.online(["ann", "bob", "cem", "dan"])
    return [user for user, row in rows.items() if row is not None]


def wait_for(under: Road, users: list[str]) -> None:
    wait_until(lambda: known(under) == users, 30, f"the online store knows {users}")
    wait_until(lambda: stored(under) == users, 30, f"the changelog holds {users}")


def test_the_midnight_after_the_last_day_deletes_row_and_state(running: Road) -> None:
    running.publish([lesson("cem", day(TTL_DAYS + 1))])
    wait_for(running, ["bob", "cem"])
    assert running.wait_online_equals_truth() == 2
    metrics = running.metrics("features")
    assert (metrics["churn_users"], metrics["churn_departed_users_total"]) == (2, 1)


def test_one_who_returns_starts_anew_in_a_slot_that_was_left(running: Road) -> None:
    running.publish([lesson("ann", day(TTL_DAYS + 2)), lesson("dan", day(TTL_DAYS + 2))])
    wait_for(running, ["ann", "cem", "dan"])
    assert running.wait_online_equals_truth() == 3
    lessons = running.declaration.feature_names.index("lessons_30d")
    assert memoryview(running.online(["ann"])["ann"] or b"").cast("f")[lessons] == 1.0


def test_a_killed_worker_forgets_the_same_users(running: Road) -> None:
    running.stack.supervisor.children["features"].kill()
    running.publish([lesson("dan", day(2 * TTL_DAYS + 3)), lesson("ann", day(2 * TTL_DAYS + 4))])
    running.stack.start_service("features")
    wait_for(running, ["ann", "dan"])
    assert running.wait_online_equals_truth() == 2
