from pathlib import Path

import pytest
import redis

from compose.local import free_ports
from compose.processes import ChildDiedError, wait_until
from compose.redis_server import RedisServer


@pytest.mark.parametrize(("persistent", "kept"), [(True, b"kept"), (False, None)])
def test_only_a_persistent_server_keeps_data_over_a_restart(
    tmp_path: Path, persistent: bool, kept: bytes | None
) -> None:
    server = RedisServer(tmp_path, free_ports(1)[0], persistent=persistent)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("key", "kept")
        server.stop()
        server.start()
        assert client.get("key") == kept
    server.stop()


def test_frozen_server_answers_again_after_thaw(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, free_ports(1)[0])
    server.start()
    server.freeze()
    assert not server.answers()
    server.thaw()
    wait_until(server.answers, 10, "the thawed server answers")
    server.stop()


def test_server_that_cannot_start_shows_the_end_of_its_log(redis_server: RedisServer, tmp_path: Path) -> None:
    # The port is taken and its owner answers, so only the second server's own end tells the two apart.
    second = RedisServer(tmp_path, redis_server.port)
    with pytest.raises(ChildDiedError, match=r"(?s)redis-server exited with code 1.*ddress already in use"):
        second.start()


def test_client_fixture_starts_empty(redis_client: "redis.Redis") -> None:
    assert redis_client.dbsize() == 0
