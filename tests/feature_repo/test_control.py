from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from churn.kafka_config import client_config
from churn.topics import MODELS
from compose.kafka import KafkaServer
from compose.processes import wait_until
from compose.topic_admin import ensure_topics
from feature_repo.champion import ServingModel
from feature_repo.control import ModelsFollower, serve_champions
from feature_repo.instruments import Instruments
from tests.api.building import DECLARATION, challenger, champion, lineup, model, settings
from tests.api.streaming import line_up, promote, publish


@pytest.fixture
def holder(tmp_path: Path) -> ServingModel:
    return ServingModel(tmp_path, DECLARATION, Instruments("scorer"))


@pytest.fixture
def follower(kafka: KafkaServer, topic_prefix: str, holder: ServingModel) -> Iterator[ModelsFollower]:
    made = settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix)
    follower = serve_champions(client_config(made), MODELS.name(topic_prefix), "churn", holder)
    yield follower
    follower.following.stop()


def create_topics(kafka: KafkaServer, prefix: str) -> None:
    ensure_topics(settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=prefix, partitions=2))


def wait_for(holder: ServingModel, version: str) -> None:
    wait_until(lambda: holder.serving is not None and holder.serving.champion.version == version, 20, version)


def test_the_last_champion_on_the_topic_serves_and_the_next_takes_over(
    kafka: KafkaServer, topic_prefix: str, holder: ServingModel, follower: ModelsFollower, tmp_path: Path
) -> None:
    create_topics(kafka, topic_prefix)
    gone = msgspec.structs.replace(champion(tmp_path, "1"), bundle="churn/deleted")
    promote(kafka, topic_prefix, gone)
    promote(kafka, topic_prefix, champion(tmp_path, "2"))
    follower.following.start()
    wait_for(holder, "2")
    assert holder.refusal is None
    assert holder.heard_of(gone.promotion)
    promote(kafka, topic_prefix, champion(tmp_path, "3", model(intercept=-2.0)))
    wait_for(holder, "3")


def test_a_bad_champion_is_refused_and_a_bundle_that_arrives_late_is_taken(
    kafka: KafkaServer, topic_prefix: str, holder: ServingModel, follower: ModelsFollower, tmp_path: Path
) -> None:
    create_topics(kafka, topic_prefix)
    promote(kafka, topic_prefix, champion(tmp_path, "1"))
    follower.following.start()
    wait_for(holder, "1")
    named = champion(tmp_path, "2")
    (tmp_path / named.bundle).rename(tmp_path / "on its way")
    promote(kafka, topic_prefix, named)
    wait_until(lambda: holder.refusal is not None, 20, "the refusal")
    assert holder.serving is not None
    assert holder.serving.champion.version == "1"
    (tmp_path / "on its way").rename(tmp_path / named.bundle)
    wait_for(holder, "2")


def test_other_models_change_nothing_and_an_unreadable_record_is_told(
    kafka: KafkaServer, topic_prefix: str, holder: ServingModel, follower: ModelsFollower, tmp_path: Path
) -> None:
    create_topics(kafka, topic_prefix)
    promote(kafka, topic_prefix, champion(tmp_path, "1"))
    promote(kafka, topic_prefix, champion(tmp_path, "9", model(name="other")))
    publish(kafka, MODELS.name(topic_prefix), ("churn", b"{not json"))
    follower.following.start()
    wait_until(lambda: holder.refusal is not None, 20, "the refusal")
    wait_for(holder, "1")
    assert holder.refusal is not None
    assert "offset 2 is not a champion record" in holder.refusal.reason


def test_a_topic_that_is_created_later_is_found(
    kafka: KafkaServer, topic_prefix: str, holder: ServingModel, follower: ModelsFollower, tmp_path: Path
) -> None:
    follower.following.start()
    wait_until(lambda: "does not exist" in (follower.following.outage or ""), 20, "the outage")
    create_topics(kafka, topic_prefix)
    promote(kafka, topic_prefix, champion(tmp_path, "1"))
    wait_for(holder, "1")
    assert follower.following.outage is None


def test_the_present_champion_can_be_waited_for(
    kafka: KafkaServer, topic_prefix: str, holder: ServingModel, follower: ModelsFollower, tmp_path: Path
) -> None:
    create_topics(kafka, topic_prefix)
    promote(kafka, topic_prefix, champion(tmp_path, "1"))
    follower.following.start()
    assert follower.wait_current(20)
    assert holder.serving is not None


def test_an_unreadable_record_that_was_published_again_is_forgiven(
    kafka: KafkaServer, topic_prefix: str, holder: ServingModel, follower: ModelsFollower, tmp_path: Path
) -> None:
    create_topics(kafka, topic_prefix)
    publish(kafka, MODELS.name(topic_prefix), ("churn", b"{not json"))
    promote(kafka, topic_prefix, champion(tmp_path, "2"))
    follower.following.start()
    assert follower.wait_current(20)
    assert holder.serving is not None
    assert (holder.serving.champion.version, holder.refusal) == ("2", None)


def test_challengers_are_followed_and_an_unreadable_record_of_them_is_told(
    kafka: KafkaServer, topic_prefix: str, holder: ServingModel, follower: ModelsFollower, tmp_path: Path
) -> None:
    create_topics(kafka, topic_prefix)
    promote(kafka, topic_prefix, champion(tmp_path, "1"))
    line_up(kafka, topic_prefix, lineup(challenger(tmp_path, "2", 0.5)))
    publish(kafka, MODELS.name(topic_prefix), ("churn/challengers", b"{not json"))
    follower.following.start()
    wait_until(lambda: bool(holder.left_out), 20, "the refusal")
    holder.retry()
    assert "offset 2 is not a lineup record" in "".join(holder.not_ready())
    assert holder.serving is not None
    assert [named.version for named, _ in holder.serving.challengers] == ["2"]
    line_up(kafka, topic_prefix, lineup(seconds=2))
    wait_until(lambda: holder.serving is not None and not holder.serving.challengers, 20, "it is published again")
    assert holder.not_ready() == []
