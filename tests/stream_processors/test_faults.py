"""Whatever is killed, frozen or away: the online store ends equal to a batch recomputation of the topic."""

import threading
import time
from collections.abc import Iterator

import pytest
import redis

from churn.topics import DEAD_LETTERS
from compose.processes import wait_until
from tests.stream_processors.road import Road, history, road

SLICE = 400


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("faults")) as found:
        found.stack.start_service("features")
        yield found


class Load:
    """Publishes a history slice by slice in the background; `cut` ends it when the block is left."""

    def __init__(
        self, under: Road, seed: int, events: int = 20_000, pause_seconds: float = 0.1, cut: bool = False
    ) -> None:
        self._events = history(users=500, days=20, per_day=events // 20, seed=seed)
        self._road, self._pause_seconds, self._cut = under, pause_seconds, cut
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def _publish(self) -> None:
        with self._road.publisher() as publisher:
            for start in range(0, len(self._events), SLICE):
                if self._cut and self._left.is_set():
                    return
                part = self._events[start : start + SLICE]
                publisher.publish_all([*part, *part[:4]])  # 1 % duplicates
                publisher.flush()
                time.sleep(self._pause_seconds)  # the pace of the load

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()


def test_a_worker_killed_again_and_again_under_load_counts_every_event_once(running: Road) -> None:
    with Load(running, seed=1):
        for _ in range(3):
            time.sleep(1.5)  # not a wait for a condition: the kill must come at no particular moment
            child = running.stack.supervisor.children["features"]
            child.kill()
            running.stack.start_service("features")
    assert running.wait_online_equals_truth() == 500


def test_redis_frozen_for_ten_seconds_loses_nothing(running: Road) -> None:
    with Load(running, seed=2):
        running.stack.redis.freeze()
        time.sleep(10)  # the length of the outage is the point
        running.stack.redis.thaw()
    assert running.wait_online_equals_truth() == 500
    running.stack.check()


def test_an_emptied_redis_is_filled_again_unasked(running: Road) -> None:
    running.wait_online_equals_truth()
    with redis.Redis.from_url(running.stack.redis.url) as client:
        client.flushall()
    assert running.wait_online_equals_truth(20) == 500


def test_a_redis_killed_and_started_again_is_made_whole(running: Road) -> None:
    with Load(running, seed=7, events=8_000):
        time.sleep(1.0)  # not a wait for a condition: the kill must come at no particular moment
        running.stack.redis.kill()
        running.stack.redis.start()
    assert running.wait_online_equals_truth() == 500


def test_kafka_killed_for_ten_seconds_loses_nothing(running: Road) -> None:
    with Load(running, seed=3):
        running.stack.kafka.kill()
        time.sleep(10)  # the length of the outage is the point
        running.stack.kafka.start()
    assert running.wait_online_equals_truth(90) == 500
    running.stack.check()


def test_a_second_worker_takes_partitions_over_and_gives_them_back(running: Road) -> None:
    # Lasts 75 s unless cut: on a busy machine the second worker has joined only after half a minute.
    with Load(running, seed=4, pause_seconds=1.5, cut=True):
        running.stack.start_service("features", "features-2")
        wait_until(lambda: running.metrics("features-2")["churn_events_total"] > 0, 60, "the second worker has work")
        running.stack.supervisor.children["features-2"].stop()
    assert running.wait_online_equals_truth(90) == 500


def test_a_frozen_worker_that_wakes_up_overwrites_nothing(running: Road) -> None:
    child = running.stack.supervisor.children["features"]
    with Load(running, seed=5):
        child.freeze()
        running.stack.start_service("features", "features-3")
    # The frozen worker is still a member until its session ends; only then do its partitions move.
    wait_until(
        lambda: running.metrics("features-3")["churn_events_total"] > 0, 90, "the other worker has the partitions"
    )
    running.wait_online_equals_truth(90)
    child.thaw()
    time.sleep(5)  # time for a woken worker to do harm
    assert running.wait_online_equals_truth(60) == 500


def test_dead_letters_are_none_of_ours(running: Road) -> None:
    assert running.read(DEAD_LETTERS) == []
