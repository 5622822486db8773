"""The learner on a real Kafka: it joins, learns, and goes on after a stop or a kill as if nothing had happened."""

import math
import shutil
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from churn.blocks import FeatureBlock, LabelBlock, encode
from churn.kafka_config import client_config
from churn.layout import DAY_US
from churn.model import GoldenRow, LogisticModel
from churn.scores import Challenger, Champion, Lineup
from churn.settings import Settings
from churn.topics import FEATURES, LABELS, MODELS, Topic
from compose.kafka import KafkaServer
from compose.local import free_ports
from compose.topic_admin import ensure_topics
from compose.waiting import Lag
from feature_repo.bundles import save as save_bundle
from feature_repo.instruments import Instruments
from tests.training.at_work import at_work
from tests.training.labelled import DECLARED, USERS, outcomes, population, publish, wait_for
from training.announce import announce
from training.learner import Learner
from training.online import OnlineState
from training.snapshots import latest


@pytest.fixture
def settings(one_partition: Settings) -> Settings:
    return one_partition


def running(settings: Settings, partitions_seconds: float = 60.0) -> AbstractContextManager[Learner]:
    """Run a learner in a thread; stop it at the end."""
    return at_work(Learner(settings, DECLARED, Instruments("learner"), partitions_seconds))


def learnt(settings: Settings, days: range) -> OnlineState:
    """Return the state after a learner has taken all labels of these days."""
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(days))
        assert learner.not_ready() == []
    return learner.model.state()


def test_labels_are_learnt_with_the_vectors_of_their_midnight(settings: Settings) -> None:
    publish(settings, range(100, 160))
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(range(100, 160)))
        wait_for(lambda: counted(learner, "churn_learned_midnight_seconds") == 159 * 86_400)
    # With vectors of another day the labels would be independent of them, and the AUC one half.
    assert learner.model.window.judged().auc > 0.9
    assert len(learner.model.window.churned) == population(range(130, 160))


def test_a_restarted_learner_ends_where_an_uninterrupted_one_does(settings: Settings, tmp_path: Path) -> None:
    publish(settings, range(100, 110))
    learnt(settings, range(100, 110))
    publish(settings, range(110, 120))
    restarted = learnt(settings, range(100, 120))
    fresh = elsewhere(settings, tmp_path / "fresh")
    assert restarted == learnt(fresh, range(100, 120))


def test_a_killed_learner_repeats_nothing_and_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    publish(settings, range(100, 110))
    learnt(settings, range(100, 110))
    shutil.copytree(tmp_path / "models", tmp_path / "then" / "models")
    publish(settings, range(110, 120))
    whole = learnt(settings, range(100, 120))
    # A kill is a process that left no snapshot after the one of then.
    assert learnt(elsewhere(settings, tmp_path / "then"), range(100, 120)) == whole


def raw(settings: Settings, topic: Topic, *values: bytes, partition: int = 0) -> None:
    """Publish values as they are."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "acks": "all"})
    for value in values:
        producer.produce(topic.name(settings.topic_prefix), value, partition=partition)
    assert producer.flush(30) == 0


def counted(learner: Learner, name: str, **labels: str) -> float:
    """Return a metric as the learner exports it."""
    return learner.instruments.registry.get_sample_value(name, labels) or 0.0


def test_blocks_that_are_none_are_counted_and_passed_over(settings: Settings) -> None:
    short = LabelBlock(0, 1, 0, 0, USERS, b"\1")
    raw(settings, LABELS, b"no block", b"", encode(short))
    infinite = np.full((1, 2), np.inf, np.float32).tobytes()
    raw(settings, FEATURES, b"no block", encode(vectors(99, ["ann"], infinite)), encode(vectors(99, ["ann"], b"1234")))
    publish(settings, range(100, 103))
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(range(100, 103)))
        wait_for(lambda: counted(learner, "churn_skipped_blocks_total", reason="undecodable") >= 6)
        assert counted(learner, "churn_skipped_blocks_total", reason="undecodable") == 6


def test_each_label_is_counted_by_its_class(settings: Settings) -> None:
    publish(settings, range(100, 103))
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(range(100, 103)))
        wait_for(lambda: counted(learner, "churn_labels_total", churned="true") > 0)
    churned = sum(int(block.churned.sum()) for block in outcomes(settings))
    assert counted(learner, "churn_labels_total", churned="true") == churned
    assert counted(learner, "churn_labels_total", churned="false") == population(range(100, 103)) - churned


def test_labels_that_come_long_before_their_vectors_wait(settings: Settings) -> None:
    label = LabelBlock(0, 1, 100 * DAY_US, 130 * DAY_US, ["ann"], b"\1")
    raw(settings, LABELS, encode(label))
    with running(settings) as learner:
        wait_for(lambda: learner.not_ready() == [] and bool(learner.course.lanes[0].labels))
        row = np.array([[3, 1]], np.float32).tobytes()
        raw(settings, FEATURES, encode(vectors(100, ["ann"], row)), encode(vectors(101, ["ann"], row)))
        wait_for(lambda: learner.model.rows > 0)
    assert learner.model.rows == 1


def test_a_champion_is_judged_on_rows_that_were_learnt_before_it_came(settings: Settings) -> None:
    publish(settings, range(100, 135))
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(range(100, 135)))
        promote(settings, "1", 0.8)
        wait_for(lambda: counted(learner, "churn_online_log_loss", model="champion") > 0)
    gone = float(learner.model.window.churned.mean())
    loss = -(gone * np.log(0.8) + (1 - gone) * np.log(0.2))
    assert counted(learner, "churn_online_log_loss", model="champion") == pytest.approx(loss)
    assert counted(learner, "churn_online_auc", model="champion") == 0.5
    assert counted(learner, "churn_online_calibration_error", model="champion") == pytest.approx(
        abs(0.8 - gone), abs=0.1
    )
    assert counted(learner, "churn_online_judged_rows") == population(range(130, 135))


def test_outcomes_hold_the_champion_the_one_before_and_the_challengers(settings: Settings) -> None:
    promote(settings, "1", 0.8)
    with running(settings) as learner:
        wait_for(lambda: versions(learner) == ["1"])
        promote(settings, "2", 0.6)
        challenge(settings, "3", 0.3)
        wait_for(lambda: versions(learner) == ["2", "1", "3"])
        publish(settings, range(100, 101))
        wait_for(lambda: learner.model.rows == population(range(100, 101)))
    (block,) = outcomes(settings)
    assert (block.partition, block.as_of_us, block.known_at_us) == (0, 100 * DAY_US, 130 * DAY_US)
    assert block.versions == ["2", "1", "3"]
    assert block.probability[:, 0].tolist() == pytest.approx([0.6, 0.8, 0.3])
    saved = latest(settings.models_dir / "online")
    assert saved is not None
    assert [champion.version for champion in saved[1].champions] == ["1", "2"]


def versions(learner: Learner) -> list[str]:
    """Return whom the learner asks now."""
    return [scorer.version for scorer in learner.present()]


def made(settings: Settings, version: str, probability: float) -> tuple[str, str]:
    """Write a model that says the same of everyone; returns its bundle and the hash of its manifest."""
    golden, names = [GoldenRow([0, 0], probability)], list(DECLARED.feature_names)
    log_odds, features = math.log(probability / (1 - probability)), DECLARED.feature_set_version
    model = LogisticModel("churn", features, names, [0, 0], [1, 1], [0, 0], [0, 0], [0, 0], log_odds, golden, {})
    return save_bundle(settings.models_dir, model, version)


def promote(settings: Settings, version: str, probability: float) -> None:
    """Announce a champion that says the same of everyone."""
    at = datetime(2026, 1, int(version), tzinfo=UTC)
    record = Champion("churn", version, *made(settings, version, probability), DECLARED.feature_set_version, at, "test")
    announce(client_config(settings), MODELS.name(settings.topic_prefix), record)


def challenge(settings: Settings, version: str, probability: float) -> None:
    """Announce a challenger that says the same of everyone."""
    challenger = Challenger(version, *made(settings, version, probability), DECLARED.feature_set_version)
    lineup = Lineup("churn", [challenger], datetime(2026, 1, 9, tzinfo=UTC), "test")
    announce(client_config(settings), MODELS.name(settings.topic_prefix), lineup)


def test_what_was_learnt_is_told_to_whoever_watches_the_lag(settings: Settings) -> None:
    publish(settings, range(100, 105))
    lag = Lag(settings, "learner", LABELS)
    with running(settings):
        wait_for(lambda: lag.done() >= 5)
    assert lag.done() == 5
    lag.close()


def test_a_partition_that_is_added_is_followed(settings: Settings) -> None:
    publish(settings, range(100, 105))
    with running(settings, partitions_seconds=0.2) as learner:
        wait_for(lambda: learner.model.rows == population(range(100, 105)))
        names = [topic.name(settings.topic_prefix) for topic in (LABELS, FEATURES)]
        admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
        for future in admin.create_partitions([NewPartitions(name, 2) for name in names]).values():
            future.result(30)
        wait_for(lambda: set(learner.course.lanes) == {0, 1})
        row = np.array([[3, 1]], np.float32).tobytes()
        raw(settings, FEATURES, *(encode(vectors(day, ["ann"], row)) for day in (104, 105, 106)), partition=1)
        labels = [LabelBlock(1, 1, day * DAY_US, (day + 30) * DAY_US, ["ann"], b"\1") for day in (104, 105)]
        raw(settings, LABELS, *map(encode, labels), partition=1)
        # The label of day 104 was learnt where ann came from.
        wait_for(lambda: learner.model.rows == population(range(100, 105)) + 1)
        wait_for(lambda: counted(learner, "churn_skipped_blocks_total", reason="outdated") > 0)
    assert counted(learner, "churn_skipped_blocks_total", reason="outdated") == 1


def test_blocks_beyond_the_retention_are_not_waited_for(settings: Settings, tmp_path: Path) -> None:
    publish(settings, range(100, 105))
    learnt(settings, range(100, 105))
    publish(settings, range(105, 110))
    gone = [TopicPartition(LABELS.name(settings.topic_prefix), 0, 7)]
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for future in admin.delete_records(gone).values():
        future.result(30)
    left = population(range(100, 105)) + population(range(107, 110))
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows >= left)
        wait_for(lambda: learner.not_ready() == [])
    assert learner.model.rows == left


def test_an_outage_of_kafka_is_told_and_survived(tmp_path: Path, topic_prefix: str) -> None:
    port, controller_port = free_ports(2)
    server = KafkaServer(tmp_path / "kafka", port, controller_port)
    server.start()
    try:
        own = Settings(
            kafka_bootstrap_servers=server.bootstrap_servers, topic_prefix=topic_prefix, partitions=1, data_dir=tmp_path
        )
        ensure_topics(own)
        publish(own, range(100, 105))
        with running(own) as learner:
            wait_for(lambda: learner.model.rows == population(range(100, 105)))
            server.stop()
            wait_for(lambda: learner.not_ready() != [])
            server.start()
            publish(own, range(105, 110))
            wait_for(lambda: learner.model.rows >= population(range(100, 110)), 60)
            wait_for(lambda: learner.not_ready() == [])
        assert learner.model.rows == population(range(100, 110))
    finally:
        server.stop()


def test_a_snapshot_that_cannot_be_written_is_told(settings: Settings, tmp_path: Path) -> None:
    publish(settings, range(100, 103))
    with running(settings) as learner:
        wait_for(lambda: learner.model.rows == population(range(100, 103)))
        wait_for((tmp_path / "models" / "online").is_dir)
        shutil.rmtree(tmp_path / "models")
        (tmp_path / "models").write_text("a file where the folder was")
        publish(settings, range(103, 106))
        wait_for(lambda: any("cannot be written" in reason for reason in learner.not_ready()))
        (tmp_path / "models").unlink()
        wait_for(lambda: learner.not_ready() == [])
    assert latest(tmp_path / "models" / "online") is not None


def vectors(day: int, users: list[str], values: bytes) -> FeatureBlock:
    """Return a roll of a midnight."""
    return FeatureBlock("roll", 0, 1, day * DAY_US, 0, 0, DECLARED.feature_set_version, users, values)


def elsewhere(settings: Settings, data_dir: Path) -> Settings:
    """Return the same settings over another data folder."""
    return settings.model_copy(update={"data_dir": data_dir})
