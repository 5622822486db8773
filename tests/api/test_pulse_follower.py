from collections.abc import Callable, Iterator

import pytest

from api import pulse_follower
from api.pulse_follower import PulseFollower
from churn import scores
from churn.kafka_config import client_config
from churn.topics import ACTIVITY, SCORES
from compose.kafka import KafkaServer
from compose.processes import wait_until
from compose.topic_admin import ensure_topics
from tests.api.building import settings
from tests.api.streaming import publish, score

NOW_MS = 1_767_571_200_000
Follow = Callable[[], PulseFollower]


@pytest.fixture
def follow(kafka: KafkaServer, topic_prefix: str) -> Iterator[Follow]:
    """Return a function that starts a follower of fresh topics."""
    made = settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, partitions=2)
    ensure_topics(made)
    started: list[PulseFollower] = []

    def start() -> PulseFollower:
        names = SCORES.name(topic_prefix), ACTIVITY.name(topic_prefix)
        started.append(PulseFollower(client_config(made), *names, lambda: NOW_MS))
        started[-1].following.start()
        return started[-1]

    yield start
    for each in started:
        each.following.stop()


def test_scores_that_go_by_are_counted(kafka: KafkaServer, topic_prefix: str, follow: Follow) -> None:
    follower = follow()
    wait_until(lambda: follower.following.outage is None, 20, "following")
    taken: list[tuple[str, float, scores.Band]] = [("a", 0.9, "high"), ("b", 0.1, "low"), ("b", 0.3, "medium")]
    records = [(user, scores.encode(score(user, p, band))) for user, p, band in taken]
    publish(kafka, SCORES.name(topic_prefix), *records)
    wait_until(lambda: follower.view.users_by_band.get("medium") == 1, 20, "the scores")
    assert follower.view.users_by_band == {"low": 0, "medium": 1, "high": 1}
    assert [user.user_id for user in follower.view.riskiest] == ["a", "b"]


def test_the_last_scores_from_before_the_start_fill_the_table(
    kafka: KafkaServer, topic_prefix: str, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse_follower, "CATCH_UP_MESSAGES", 3)
    records = [("same partition", scores.encode(score(f"u{n}", 0.9, "high"))) for n in range(10)]
    publish(kafka, SCORES.name(topic_prefix), *records)
    follower = follow()
    wait_until(lambda: follower.view.users == 3, 20, "three users")
    assert {user.user_id for user in follower.view.riskiest} == {"u7", "u8", "u9"}


def test_an_unreadable_score_is_counted_and_passed_over(kafka: KafkaServer, topic_prefix: str, follow: Follow) -> None:
    follower = follow()
    publish(kafka, SCORES.name(topic_prefix), ("a", b"{"), ("a", scores.encode(score("a", 0.9, "high"))))
    wait_until(lambda: follower.view.users == 1, 20, "the readable score")
    assert follower.unreadable == 1


def test_events_per_second_come_from_the_activity_topic(kafka: KafkaServer, topic_prefix: str, follow: Follow) -> None:
    follower = follow()
    wait_until(lambda: follower.view.events_per_second is not None, 20, "a rate")
    assert follower.view.events_per_second == 0.0
    publish(kafka, ACTIVITY.name(topic_prefix), *[(f"u{n}", b"{}") for n in range(100)])
    wait_until(lambda: (follower.view.events_per_second or 0.0) > 0, 20, "a rate above zero")
