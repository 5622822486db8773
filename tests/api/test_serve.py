import http.client
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest
import redis

from churn.settings import Settings
from compose.kafka import KafkaServer
from compose.processes import wait_until
from compose.redis_server import RedisServer
from compose.topic_admin import ensure_topics
from tests.api.building import champion, settings, vectors, write_user
from tests.api.serving import served
from tests.api.streaming import promote


@pytest.fixture
def made(tmp_path: Path, topic_prefix: str, kafka: KafkaServer, redis_server: RedisServer, free_port: int) -> Settings:
    made = settings(
        kafka_bootstrap_servers=kafka.bootstrap_servers, redis_url=redis_server.url, data_dir=tmp_path,
        topic_prefix=topic_prefix, feast_project=topic_prefix, api_port=free_port, partitions=2,
    )  # fmt: skip
    ensure_topics(made)
    return made


def get(port: int, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_served_process_answers_follows_champions_and_stops_in_good_order(
    made: Settings, kafka: KafkaServer, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    write_user(redis_client, made.feast_project, "%2F", vectors(1)[0])
    with served(made, tmp_path, path="/live") as child:
        assert get(made.api_port, "/ready")[0] == 503
        promote(kafka, made.topic_prefix, champion(made.models_dir, "1"))
        wait_until(lambda: get(made.api_port, "/ready")[0] == 200, 20, "ready")
        assert b'"model_version":"1"' in get(made.api_port, "/users/%252F")[1]
        assert get(made.api_port, "/users/%ff")[0] in (404, 422)
        child.stop()
        assert child.process.returncode == 0
        assert "Traceback" not in child.log_tail(100)


def test_a_request_that_has_begun_is_answered_before_the_end(made: Settings, tmp_path: Path) -> None:
    with served(made, tmp_path, path="/live") as child, socket.create_connection(("127.0.0.1", made.api_port)) as slow:
        slow.settimeout(10)
        slow.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert slow.recv(100).startswith(b"HTTP/1.1 100")  # the application is waiting for the body
        child.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Shutting down" in child.log_tail(100), 10, "the end to begin")
        slow.sendall(b"{}")
        assert slow.recv(100).startswith(b"HTTP/1.1 422")
        assert child.process.wait(10) == 0
