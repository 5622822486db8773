"""Vectors in, scores out, on a real Kafka and Redis."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
import redis
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from churn import blocks, scores
from churn.blocks import FeatureBlock
from churn.layout import Floats
from churn.records import Record
from churn.scores import Score, to_us
from churn.settings import Settings
from churn.topics import MODELS, SCORES
from compose.kafka import KafkaServer
from compose.processes import wait_until
from compose.redis_server import RedisServer
from compose.topic_admin import ensure_topics
from feature_repo.encoding import entity_key
from feature_repo.errors import FencedError
from feature_repo.instruments import Instruments
from feature_repo.online import OnlineWriter
from feature_repo.reader import OnlineReader
from stream_processors import scorer
from stream_processors.scorer import ScorerRole
from tests.api.building import AS_OF, DAYS_SILENT, DECLARATION, champion, model, settings, vectors
from tests.api.streaming import promote


@pytest.fixture
def made(kafka: KafkaServer, redis_server: RedisServer, topic_prefix: str, tmp_path: Path) -> Settings:
    made = settings(
        kafka_bootstrap_servers=kafka.bootstrap_servers, redis_url=redis_server.url, topic_prefix=topic_prefix,
        feast_project=topic_prefix, data_dir=tmp_path, partitions=1,
    )  # fmt: skip
    ensure_topics(made)
    return made


@pytest.fixture
def instruments() -> Instruments:
    return Instruments("scorer")


@pytest.fixture
def role(made: Settings, instruments: Instruments, redis_client: "redis.Redis") -> Iterator[ScorerRole]:
    writer = OnlineWriter(redis_client, made.feast_project, DECLARATION.feature_names)
    role = ScorerRole(made, DECLARATION, writer, instruments, lambda: to_us(AS_OF))
    yield role
    role.close()


@contextmanager
def owner(made: Settings, redis_server: RedisServer, now_us: int) -> Iterator[ScorerRole]:
    """Return a scorer with a model, as it runs in a process of its own."""
    with redis.Redis.from_url(redis_server.url) as client:
        writer = OnlineWriter(client, made.feast_project, DECLARATION.feature_names, timeout_seconds=1.0)
        role = ScorerRole(made, DECLARATION, writer, Instruments("scorer"), lambda: now_us)
        try:
            wait_until(lambda: role.model.serving is not None, 20, "the champion")
            yield role
        finally:
            role.close()


def stored(made: Settings, redis_server: RedisServer, user: str) -> float | None:
    """Return the probability in the online store."""
    with redis.Redis.from_url(redis_server.url) as client:
        reader = OnlineReader(client, made.feast_project, DECLARATION.feature_names)
        (row,) = reader.read_many([user])
        reader.close()
    return None if row.score is None else row.score.probability


def record(users: list[str], matrix: Floats, for_model: str = "", departed: Sequence[str] = ()) -> Record:
    """Return a record of the features topic."""
    as_of_us, version = to_us(AS_OF), DECLARATION.feature_set_version
    block = FeatureBlock(
        "update", 0, 1, as_of_us, 5, as_of_us, version, users, matrix.tobytes(), for_model, list(departed)
    )
    return Record(0, as_of_us, None, blocks.encode(block))


async def score_once(role: ScorerRole, given: Record) -> None:
    """Let the role take a record as its worker does, then give the partition up."""
    await role.acquire([0], 1)
    await role.process(0, [given], 3)
    await role.release([0])


def written(made: Settings, count: int) -> dict[str, Score]:
    """Return this many scores from the topic, by user."""
    consumer = Consumer({"bootstrap.servers": made.kafka_bootstrap_servers, "group.id": "tests"})
    consumer.assign([TopicPartition(SCORES.name(made.topic_prefix), 0, 0)])
    try:
        found = [scores.decode(message.value() or b"") for message in consumer.consume(count, timeout=20)]
    finally:
        consumer.close()
    return {score.user_id: score for score in found}


def lags(instruments: Instruments) -> list[float]:
    """Return the exported lag of every partition."""
    families = instruments.registry.collect()
    return [s.value for family in families for s in family.samples if s.name == "churn_consumer_lag_records"]


def test_scores_say_who_is_active(made: Settings, kafka: KafkaServer, role: ScorerRole) -> None:
    promote(kafka, made.topic_prefix, champion(made.models_dir, "1"))
    wait_until(lambda: role.model.serving is not None, 20, "the champion")
    matrix = vectors(3)
    matrix[:, DAYS_SILENT] = [0.0, 30.0, 31.0]
    asyncio.run(score_once(role, record(["today", "edge", "gone"], matrix)))
    found = written(made, 3)
    assert {user: score.active for user, score in found.items()} == {"today": True, "edge": True, "gone": False}
    assert found["gone"].probability == pytest.approx(float(_probability(role, matrix)[2]), abs=0)


def _probability(role: ScorerRole, matrix: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    assert role.model.serving is not None
    return role.model.serving.scorer.score(matrix).probability


def test_a_refused_model_is_told_and_the_former_one_scores(
    made: Settings, kafka: KafkaServer, role: ScorerRole
) -> None:
    promote(kafka, made.topic_prefix, champion(made.models_dir, "1"))
    wait_until(lambda: not role.not_ready(), 20, "the champion")
    bad = msgspec.structs.replace(champion(made.models_dir, "2"), sha256="0" * 64)
    promote(kafka, made.topic_prefix, bad)
    wait_until(lambda: bool(role.not_ready()), 20, "the refusal")
    (reason,) = role.not_ready()
    assert reason.startswith("champion version 2 was refused, version 1 goes on serving: ")
    asyncio.run(score_once(role, record(["u1"], vectors(1), for_model=bad.promotion)))
    assert written(made, 1)["u1"].model_version == "1"


def test_a_refresh_for_a_rollback_is_not_scored_by_the_version_that_is_taken_back(
    made: Settings, kafka: KafkaServer, role: ScorerRole
) -> None:
    first, second = champion(made.models_dir, "1"), champion(made.models_dir, "2", model(intercept=2.0))
    for named in (first, second):
        promote(kafka, made.topic_prefix, named)
    wait_until(lambda: role.model.heard_of(second.promotion), 20, "the second champion")
    back = msgspec.structs.replace(first, promoted_at=AS_OF + timedelta(seconds=1))

    async def refreshed_before_the_news() -> None:
        scoring = asyncio.create_task(score_once(role, record(["u1"], vectors(1), for_model=back.promotion)))
        await asyncio.sleep(0.2)  # not a wait for a condition: a scorer that does not wait would have scored by then
        promote(kafka, made.topic_prefix, back)
        await scoring

    asyncio.run(asyncio.wait_for(refreshed_before_the_news(), 30))
    score = written(made, 1)["u1"]
    assert (score.model_version, score.promoted_at) == ("1", back.promoted_at)


def test_a_scorer_that_was_frozen_overwrites_no_row_of_the_next_owner(
    made: Settings, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    promote(kafka, made.topic_prefix, champion(made.models_dir, "1"))
    with owner(made, redis_server, 1) as frozen, owner(made, redis_server, 2) as following:

        async def take_over() -> None:
            await frozen.acquire([0], 1)
            await frozen.process(0, [record(["u1"], vectors(1))], 1)
            await following.acquire([0], 2)
            await following.process(0, [record(["u1"], vectors(1) + 1)], 1)
            await following.tick()
            with pytest.raises(FencedError):
                await frozen.tick()

        asyncio.run(take_over())
        assert following.model.serving is not None
        newest = following.model.serving.scorer.score(vectors(1) + 1).probability.astype(np.float32)
    assert stored(made, redis_server, "u1") == newest[0]


def test_rows_of_a_partition_that_was_given_up_are_not_written_later(
    made: Settings, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    promote(kafka, made.topic_prefix, champion(made.models_dir, "1"))
    with owner(made, redis_server, 1) as former:

        async def give_up_while_redis_is_away() -> None:
            await former.acquire([0], 1)
            await former.process(0, [record(["u1"], vectors(1))], 1)
            redis_server.freeze()
            await former.release([0])
            redis_server.thaw()
            await former.acquire([], 2)
            await former.tick()

        asyncio.run(give_up_while_redis_is_away())
    assert stored(made, redis_server, "u1") is None


def test_lag_of_a_partition_that_was_given_up_is_forgotten(
    made: Settings, kafka: KafkaServer, role: ScorerRole, instruments: Instruments
) -> None:
    async def take() -> list[float]:
        await role.acquire([0], 1)
        await role.process(0, [record([], vectors(1)[:0])], 3)
        held = lags(instruments)
        await role.release([0])
        return held

    assert asyncio.run(take()) == [2.0]
    assert lags(instruments) == []


def test_a_score_outlives_no_row_that_was_deleted_before_it(
    made: Settings, kafka: KafkaServer, role: ScorerRole, redis_client: "redis.Redis"
) -> None:
    promote(kafka, made.topic_prefix, champion(made.models_dir, "1"))
    rows = {user: entity_key(user, made.feast_project) for user in ("gone", "back", "here")}

    async def show(*shown: Record) -> list[str]:
        for each in shown:
            await role.process(0, [each], 1)
        await role.tick()
        return [user for user, row in rows.items() if redis_client.exists(row)]

    async def follow() -> list[list[str]]:
        await role.acquire([0], 1)
        everyone = record(list(rows), vectors(3))
        left = record([], vectors(1)[:0], departed=["gone", "back"])
        # The features worker has deleted the rows long before the scorer comes to the vectors.
        return [await show(everyone), await show(left), await show(everyone, left, record(["back"], vectors(1)))]

    assert asyncio.run(follow()) == [["gone", "back", "here"], ["here"], ["back", "here"]]


def delete_models_topic(made: Settings) -> None:
    admin, name = AdminClient({"bootstrap.servers": made.kafka_bootstrap_servers}), MODELS.name(made.topic_prefix)
    admin.delete_topics([name])[name].result(30)
    wait_until(lambda: name not in admin.list_topics(timeout=5).topics, 20, "the topic is gone")


async def score_after(role: ScorerRole, seen: str, cure: Callable[[], None]) -> None:
    """Hand a block to the role, and mend what keeps it from knowing its model once it says that."""
    scoring = asyncio.create_task(score_once(role, record(["u1"], vectors(1))))
    while not any(seen in reason for reason in role.not_ready()):
        await asyncio.sleep(0.05)  # until the role says so; `wait_for` bounds it
    await asyncio.sleep(0.5)  # not a wait for a condition: what must not happen would have happened by then
    assert not scoring.done()
    cure()
    await scoring


def test_blocks_wait_for_a_models_topic_that_cannot_be_read(
    made: Settings, kafka: KafkaServer, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "MODEL_WAIT_SECONDS", 0.1)
    delete_models_topic(made)
    writer = OnlineWriter(redis_client, made.feast_project, DECLARATION.feature_names)
    role = ScorerRole(made, DECLARATION, writer, Instruments("scorer"), lambda: to_us(AS_OF))

    def cure() -> None:
        ensure_topics(made)
        promote(kafka, made.topic_prefix, champion(made.models_dir, "1"))

    asyncio.run(asyncio.wait_for(score_after(role, "does not exist", cure), 60))
    role.close()
    assert written(made, 1)["u1"].model_version == "1"


def test_blocks_wait_for_the_bundle_of_the_only_champion(
    made: Settings, kafka: KafkaServer, role: ScorerRole, tmp_path: Path
) -> None:
    named = champion(tmp_path / "away", "1")
    promote(kafka, made.topic_prefix, named)

    def cure() -> None:
        (tmp_path / "away").rename(made.models_dir)

    asyncio.run(asyncio.wait_for(score_after(role, "no model serves", cure), 60))
    assert written(made, 1)["u1"].model_version == "1"


def test_without_any_champion_blocks_are_passed_over_and_counted(role: ScorerRole, instruments: Instruments) -> None:
    asyncio.run(asyncio.wait_for(score_once(role, record(["u1"], vectors(1))), 30))
    samples = [sample for family in instruments.registry.collect() for sample in family.samples]
    assert [s.value for s in samples if s.name == "churn_unscored_rows_total"] == [1.0]
