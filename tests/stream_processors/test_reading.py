"""Asking the leader of a partition while there may be none."""

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from churn.errors import OutageError
from stream_processors import reading
from stream_processors.reading import LEADERLESS, LEADERLESS_TRIES, at_leader

PLACE = TopicPartition("churn-activity", 3)


class Broker:
    """Refuses with the given codes, one after another, and then answers."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def answer(self) -> str:
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return "answer"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LEADERLESS_PAUSE_SECONDS", 0.0)


def test_an_election_is_waited_for() -> None:
    assert at_leader(PLACE, Broker(*LEADERLESS).answer) == "answer"


def test_a_partition_that_stays_without_a_leader_is_named() -> None:
    with pytest.raises(OutageError, match="churn-activity partition 3 has no leader"):
        at_leader(PLACE, Broker(*LEADERLESS * LEADERLESS_TRIES).answer)


def test_another_refusal_is_not_waited_for() -> None:
    broker = Broker(KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        at_leader(PLACE, broker.answer)
    assert len(broker.codes) == 1
