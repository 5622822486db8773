"""The bulk writer on a real Redis: Feast's bytes, nothing lost, nobody stale."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import redis
from feast import FeatureStore
from redis.backoff import NoBackoff
from redis.retry import Retry

from churn.declaration import Declaration
from churn.errors import DeclarationError, DefectError, InputError, OutageError
from compose.redis_server import RedisServer
from feature_repo.encoding import entity_key
from feature_repo.errors import EmptiedError, FencedError
from feature_repo.online import BATCH_USERS, Fence, OnlineWriter

AS_OF = datetime(2026, 1, 5, 10, 0, 0, 123456, tzinfo=UTC)
# Where a test asks Redis itself, its client is Any: redis-py's types know neither keys of bytes nor which replies are awaited.
AS_OF_US = 1_767_607_200_123_456
# redis-py knocks ten times within five seconds by itself.
ONCE = Retry(NoBackoff(), 0)
USERS = ["u1", "u2", "a longer user id", "käthe"]
ROWS = np.array(
    [[0.0, -0.0, 1.5, -2.5], [np.nan, 3e38, -3e38, 1e-45], [np.inf, -np.inf, 7.0, np.nan], [np.nan] * 4], np.float32
)
ONE_ROW = np.ones((1, 4), np.float32)


def frame(names: tuple[str, ...], as_of: Any = AS_OF) -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=list(names)).assign(user_id=USERS, event_timestamp=as_of)


def score_frame() -> pd.DataFrame:
    columns = {
        "user_id": ["u1"],
        "event_timestamp": [AS_OF],
        "band": ["high"],
        "model_version": ["3"],
        "top_reason": ["é" * 30],
    }
    return pd.DataFrame(columns | {"probability": np.array([0.75], np.float32)})


def write_score(writer: OnlineWriter, reason: str) -> None:
    probability = np.array([0.75], np.float32)
    writer.write_scores(["u1"], probability, band=["high"], model_version="3", top_reason=[reason], as_of_us=AS_OF_US)


@pytest.mark.parametrize("micros", [AS_OF_US, 1_767_607_200_000_000, 1_767_607_200_000_001])
def test_rows_are_feasts_byte_for_byte(
    store: FeatureStore, shop: Declaration, redis_client: Any, writer: OnlineWriter, micros: int
) -> None:
    store.write_to_online_store("user_features", frame(shop.feature_names, pd.Timestamp(micros, unit="us", tz="UTC")))
    writer.write(USERS, ROWS, micros)
    for user in USERS:
        theirs = redis_client.hgetall(entity_key(user, "feast_shop"))
        assert len(theirs) == 5
        assert redis_client.hgetall(entity_key(user, "own_shop")) == theirs


def test_scores_are_feasts_byte_for_byte(store: FeatureStore, redis_client: Any, writer: OnlineWriter) -> None:
    store.write_to_online_store("user_score", score_frame())
    write_score(writer, "é" * 30)
    theirs = redis_client.hgetall(entity_key("u1", "feast_shop"))
    assert len(theirs) == 5
    assert redis_client.hgetall(entity_key("u1", "own_shop")) == theirs


def test_feast_reads_what_we_wrote(store: FeatureStore, shop: Declaration, redis_client: "redis.Redis") -> None:
    writer = OnlineWriter(redis_client, "feast_shop", shop.feature_names)
    writer.write(["u1"], np.array([[1.5, 0.0, np.nan, -2.0]], np.float32), AS_OF_US)
    write_score(writer, "no purchase for 9 days")
    rows = [{"user_id": "u1"}, {"user_id": "nobody"}]
    answer = store.get_online_features(store.get_feature_service("churn_v1"), rows).to_dict()
    assert [answer[name] for name in shop.feature_names] == [[1.5, None], [0.0, None], [None, None], [-2.0, None]]
    assert answer["probability"] == [0.75, None]
    assert answer["top_reason"] == ["no purchase for 9 days", None]


def test_a_user_stays_a_listpack(redis_client: "redis.Redis") -> None:
    writer = OnlineWriter(redis_client, "p", [f"feature_{i}" for i in range(60)])
    writer.write(["u1"], np.ones((1, 60), np.float32), AS_OF_US)
    write_score(writer, "x" * 60)
    assert redis_client.object("encoding", entity_key("u1", "p")) == b"listpack"


def test_text_over_64_bytes_is_refused_naming_the_feature(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    with pytest.raises(InputError, match="top_reason of user u1 takes 63 bytes"):
        write_score(writer, "x" * 63)
    assert redis_client.dbsize() == 0


def test_matrix_of_another_declaration_is_a_defect(writer: OnlineWriter) -> None:
    with pytest.raises(DefectError, match=r"4 features, got \(1, 3\)"):
        writer.write(["u1"], np.ones((1, 3), np.float32), AS_OF_US)


def test_colliding_features_get_no_writer(redis_client: "redis.Redis") -> None:
    with pytest.raises(DeclarationError, match="feature_19831"):
        OnlineWriter(redis_client, "p", ["feature_19831", "feature_82479"])


def test_every_row_of_a_large_write_arrives(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    users = [f"u{i}" for i in range(9_000)]
    writer.write(users, np.full((9_000, 4), np.nan, np.float32), AS_OF_US + np.arange(9_000))
    assert redis_client.dbsize() == 9_000


def test_of_a_user_given_twice_the_last_row_counts(redis_client: Any, writer: OnlineWriter) -> None:
    writer.write(
        ["u1", "u1"], np.array([[1] * 4, [2] * 4], np.float32), np.array([AS_OF_US, AS_OF_US // 10**6 * 10**6])
    )
    assert b"5\x00\x00\x00@" in redis_client.hvals(entity_key("u1", "own_shop"))


def test_deleted_user_is_gone(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    writer.write(["u1", "u2"], np.ones((2, 4), np.float32), AS_OF_US)
    writer.delete(["u1", "never seen"])
    assert redis_client.keys() == [entity_key("u2", "own_shop")]


def test_stale_writer_is_fenced(shop: Declaration, redis_client: Any, writer: OnlineWriter) -> None:
    old = writer.claim("fence")
    newer = OnlineWriter(redis_client, "own_shop", shop.feature_names)
    newer.write(["u1"], ONE_ROW, AS_OF_US, fence=newer.claim("fence"))
    row = redis_client.hgetall(entity_key("u1", "own_shop"))
    with pytest.raises(FencedError, match="held by epoch 2, this writer has 1"):
        writer.write(["u1"], 9 * ONE_ROW, AS_OF_US + 1, fence=old)
    assert redis_client.hgetall(entity_key("u1", "own_shop")) == row


def test_writer_frozen_between_look_and_write_is_fenced(
    redis_client: "redis.Redis", writer: OnlineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence, look = writer.claim("fence"), writer._held

    def frozen(watch: bytes) -> int:
        held = look(watch)
        redis_client.set("fence", 2)
        return held

    monkeypatch.setattr(writer, "_held", frozen)
    with pytest.raises(FencedError, match="held by epoch 2"):
        writer.write(["u1"], ONE_ROW, AS_OF_US, fence=fence)
    assert redis_client.keys() == [b"fence"]


def test_writer_frozen_between_two_batches_is_fenced(
    redis_client: "redis.Redis", writer: OnlineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence, exchange, users = writer.claim("fence"), writer._wire.exchange, [f"u{n}" for n in range(2 * BATCH_USERS)]

    def frozen(commands: bytes, replies: int) -> list[Any]:
        received = exchange(commands, replies)
        if replies > BATCH_USERS:  # the first batch is written, and the fence was looked at for the next
            redis_client.set("fence", 2)
        return received

    monkeypatch.setattr(writer._wire, "exchange", frozen)
    with pytest.raises(FencedError, match="held by epoch 2"):
        writer.write(users, np.ones((len(users), 4), np.float32), AS_OF_US, fence=fence)
    assert redis_client.dbsize() == BATCH_USERS + 1


def test_holder_of_the_fence_writes(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    writer.write(["u1"], ONE_ROW, AS_OF_US, fence=writer.claim("fence"))
    assert redis_client.exists(entity_key("u1", "own_shop"))


def test_lost_fence_is_raised_again(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    writer.write(["u1"], ONE_ROW, AS_OF_US, fence=Fence("fence", 7))
    assert redis_client.get("fence") == b"7"


def test_a_write_tells_whether_there_was_a_fence(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    told = [writer.write(["u1"], ONE_ROW, AS_OF_US, ("fence", 3)) for _ in range(2)]
    redis_client.flushall()
    assert [*told, writer.write(["u1"], ONE_ROW, AS_OF_US, ("fence", 3))] == [True, False, True]


def test_threads_that_write_at_once_wait_for_each_other(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    def write(number: int) -> bool:
        return writer.write([f"u{number}"], ONE_ROW, AS_OF_US, ("fence", 3)) and writer.holds(("fence", 3))

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(write, range(200)))
    assert sum(told) == 1
    assert redis_client.dbsize() == 201


def test_foreign_key_in_the_way_is_a_defect(redis_client: "redis.Redis", writer: OnlineWriter) -> None:
    redis_client.set(entity_key("u1", "own_shop"), "text")
    for fence in (None, ("fence", 1)):
        with pytest.raises(DefectError, match="WRONGTYPE"):
            writer.write(["u1"], ONE_ROW, AS_OF_US, fence=fence)


def test_full_redis_is_an_outage_and_the_same_write_succeeds_later(
    redis_client: "redis.Redis", writer: OnlineWriter
) -> None:
    redis_client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(OutageError, match="OOM"):
            writer.write(["u1"], ONE_ROW, AS_OF_US)
    finally:
        redis_client.config_set("maxmemory", "0")
    writer.write(["u1"], ONE_ROW, AS_OF_US)
    assert redis_client.dbsize() == 1


def test_frozen_redis_is_an_outage(redis_server: RedisServer, redis_client: "redis.Redis") -> None:
    writer = OnlineWriter(redis_client, "p", ["a"], timeout_seconds=0.2)
    writer.write(["u1"], ONE_ROW[:, :1], AS_OF_US)
    redis_server.freeze()
    try:
        with pytest.raises(OutageError, match=f"127.0.0.1:{redis_server.port} does not answer"):
            writer.write(["u1"], ONE_ROW[:, :1], AS_OF_US)
    finally:
        redis_server.thaw()


def test_a_redis_frozen_before_the_first_connection_is_an_outage(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url, retry=ONCE) as client:
        writer = OnlineWriter(client, "p", ["a"], timeout_seconds=0.2)
        redis_server.freeze()
        try:
            with pytest.raises(OutageError):
                writer.write(["u1"], ONE_ROW[:, :1], AS_OF_US)
        finally:
            redis_server.thaw()


def test_absent_redis_is_an_outage(free_port: int) -> None:
    writer = OnlineWriter(redis.Redis(port=free_port, retry=ONCE), "p", ["a"])
    with pytest.raises(OutageError, match="write again"):
        writer.write(["u1"], ONE_ROW[:, :1], AS_OF_US)


def test_password_and_database_of_the_url_are_used(redis_client: Any, redis_server: RedisServer) -> None:
    redis_client.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", "~*", "+@all")
    with redis.Redis.from_url(f"redis://app:s3cret@127.0.0.1:{redis_server.port}/5") as client:
        OnlineWriter(client, "p", ["a"]).write(["u1"], ONE_ROW[:, :1], AS_OF_US)
        assert client.keys() == [entity_key("u1", "p")]


def test_changed_fields_over_a_whole_row_are_the_whole_new_row(redis_client: Any, writer: OnlineWriter) -> None:
    after = np.where(np.eye(4, dtype=np.bool_), np.float32(9), ROWS)
    writer.write(USERS, after, AS_OF_US + 1)
    whole = [redis_client.hgetall(entity_key(user, "own_shop")) for user in USERS]
    writer.write(USERS, ROWS, AS_OF_US)
    writer.write(USERS, after, AS_OF_US + 1, chosen=np.eye(4, dtype=np.bool_))
    assert [redis_client.hgetall(entity_key(user, "own_shop")) for user in USERS] == whole


def test_changed_fields_are_not_written_where_rows_may_be_gone(redis_client: Any, writer: OnlineWriter) -> None:
    writer.write(["u1"], ONE_ROW, AS_OF_US, ("f", 3))
    redis_client.flushall()
    some = np.array([[True, False, False, False]])
    with pytest.raises(EmptiedError, match="whole rows must be written"):
        writer.write(["u1"], ONE_ROW, AS_OF_US, ("f", 3), some)
    assert redis_client.dbsize() == 0
