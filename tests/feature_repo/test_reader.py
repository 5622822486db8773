"""What was written is read back, one user or many, waiting or not."""

import asyncio
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from churn.declaration import Declaration
from churn.errors import DefectError, OutageError
from compose.redis_server import RedisServer
from feature_repo.encoding import entity_key, timestamp_field
from feature_repo.online import OnlineWriter
from feature_repo.reader import AsyncOnlineReader, OnlineReader, StoredScore

# redis-py knocks ten times within five seconds by itself.
ONCE = Retry(NoBackoff(), 0)
# Where a test asks Redis itself, its client is Any: redis-py's types know neither keys of bytes nor which replies are awaited.
AS_OF_US = 1_767_607_200_123_456
ROWS = np.array([[0.0, 1.5, np.nan, -2.0], [4.0, 5.0, 6.0, 7.0]], np.float32)


@pytest.fixture
def reader(shop: Declaration, redis_client: "redis.Redis") -> OnlineReader:
    return OnlineReader(redis_client, "own_shop", shop.feature_names)


def write_score(writer: OnlineWriter) -> None:
    probability = np.array([0.75], np.float32)
    writer.write_scores(
        ["u1"], probability, band=["high"], model_version="3", top_reason=["quiet"], as_of_us=AS_OF_US + 1
    )


def test_features_and_time_are_read_back(writer: OnlineWriter, reader: OnlineReader) -> None:
    writer.write(["u1", "u2"], ROWS, AS_OF_US)
    rows = reader.read_many(["u2", "u1"])
    np.testing.assert_array_equal([row.features for row in rows], ROWS[::-1])
    assert [row.as_of_us for row in rows] == [AS_OF_US, AS_OF_US]


def test_score_is_read_back_beside_the_features(writer: OnlineWriter, reader: OnlineReader) -> None:
    writer.write(["u1"], ROWS[:1], AS_OF_US)
    write_score(writer)
    assert reader.read("u1").score == StoredScore(0.75, "high", "3", "quiet", AS_OF_US + 1)


def test_unknown_user_has_nothing(reader: OnlineReader) -> None:
    row = reader.read("nobody")
    assert (row.known, row.features, row.as_of_us, row.score) == (False, None, None, None)


def test_user_with_a_score_alone_has_no_features(writer: OnlineWriter, reader: OnlineReader) -> None:
    write_score(writer)
    row = reader.read("u1")
    assert not row.known
    assert row.score is not None


def test_feature_added_since_the_row_was_written_is_missing(redis_client: "redis.Redis") -> None:
    OnlineWriter(redis_client, "p", ["old"]).write(["u1"], np.ones((1, 1), np.float32), AS_OF_US)
    features = OnlineReader(redis_client, "p", ["old", "new"]).read("u1").features
    np.testing.assert_array_equal(features, [1.0, np.nan])


def test_row_of_another_type_is_a_defect(redis_client: Any, writer: OnlineWriter, reader: OnlineReader) -> None:
    writer.write(["u1"], ROWS[:1], AS_OF_US)
    key = entity_key("u1", "own_shop")
    for field in set(redis_client.hkeys(key)) - {timestamp_field("user_features")}:
        redis_client.hset(key, field, b"\x38\x01")
    with pytest.raises(DefectError, match="user u1 cannot be read"):
        reader.read("u1")


def test_absent_redis_is_an_outage(free_port: int) -> None:
    with pytest.raises(OutageError, match="does not answer"):
        OnlineReader(redis.Redis(port=free_port, retry=ONCE), "p", ["a"]).read("u1")


async def concurrent_reads(url: str, names: tuple[str, ...], count: int) -> list[int | None]:
    async with redis.asyncio.Redis.from_url(url) as client:
        reader = AsyncOnlineReader(client, "own_shop", names)
        rows = await asyncio.gather(*(reader.read(f"u{i}") for i in range(count)))
        await reader.close()
    return [row.as_of_us for row in rows]


def test_concurrent_reads_each_get_their_own_user(
    shop: Declaration, redis_server: RedisServer, redis_client: Any, writer: OnlineWriter
) -> None:
    times = AS_OF_US + np.arange(1_000)
    writer.write([f"u{i}" for i in range(1_000)], np.zeros((1_000, 4), np.float32), times)
    commands = redis_client.info("stats")["total_connections_received"]
    assert asyncio.run(concurrent_reads(redis_server.url, shop.feature_names, 1_001)) == [*times.tolist(), None]
    assert redis_client.info("stats")["total_connections_received"] == commands + 1


async def reads_around_a_lost_connection(url: str, client: Any) -> list[bool]:
    async with redis.asyncio.Redis.from_url(url) as asynchronous:
        reader = AsyncOnlineReader(asynchronous, "own_shop", ["a"])
        before = await reader.read("u1")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        after = await reader.read_many(["u1", "u2"])
        await reader.close()
    return [row.known for row in (before, *after)]


def test_lost_connection_is_opened_again(redis_server: RedisServer, redis_client: "redis.Redis") -> None:
    OnlineWriter(redis_client, "own_shop", ["a"]).write(["u1"], np.ones((1, 1), np.float32), AS_OF_US)
    assert asyncio.run(reads_around_a_lost_connection(redis_server.url, redis_client)) == [True, True, False]


async def read_frozen(server: RedisServer) -> bool:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        reader = AsyncOnlineReader(client, "own_shop", ["a"], timeout_seconds=0.2)
        await reader.read("u1")
        server.freeze()
        try:
            with pytest.raises(OutageError, match="does not answer a read"):
                await reader.read("u1")
        finally:
            server.thaw()
        row = await reader.read("u1")
        await reader.close()
    return row.known


@pytest.mark.usefixtures("redis_client")
def test_frozen_redis_is_an_outage_and_reading_goes_on_after_it(redis_server: RedisServer) -> None:
    assert asyncio.run(read_frozen(redis_server)) is False
