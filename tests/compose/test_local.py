import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.local import SERVICES, LocalStack, PortTakenError, answers_ok, free_ports, service
from compose.processes import ChildDiedError


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack"), {"CHURN_PARTITIONS": "2"}) as running:
        yield running


def test_stack_starts_a_kafka_and_a_redis_that_answer(stack: LocalStack) -> None:
    assert stack.kafka.answers()
    assert stack.redis.answers()
    assert {name: text.split()[0] for name, text in stack.status().items()} == {
        "kafka": "running",
        "redis-server": "running",
    }


def test_left_stack_leaves_nothing_running(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        servers = (stack.kafka, stack.redis)
    assert [server.answers() for server in servers] == [False, False]


def test_services_are_told_where_the_servers_are(stack: LocalStack) -> None:
    environment = stack.environment()
    assert environment["CHURN_KAFKA_BOOTSTRAP_SERVERS"] == stack.kafka.bootstrap_servers
    assert environment["CHURN_REDIS_URL"] == stack.redis.url
    assert environment["CHURN_PARTITIONS"] == "2"


def test_settings_of_the_calling_shell_do_not_reach_the_services(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_REDIS_URL", "redis://production:6379/0")
    monkeypatch.setenv("CHURN_TOPIC_PREFIX", "production")
    assert stack.environment()["CHURN_REDIS_URL"] == stack.redis.url
    assert "CHURN_TOPIC_PREFIX" not in stack.environment()


def test_given_address_wins_over_the_stacks_own(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, {"CHURN_REDIS_URL": "redis://127.0.0.1:1/0"})
    assert stack.environment()["CHURN_REDIS_URL"] == "redis://127.0.0.1:1/0"


def test_service_that_cannot_start_is_reported_with_its_log(stack: LocalStack) -> None:
    with pytest.raises(ChildDiedError, match=r"(?s)api exited with code \d.*/logs/api.log:\n."):
        stack.start_service("api", extra={"CHURN_NO_SUCH_SETTING": "1"})


def test_taken_port_is_named_with_the_setting_to_change(stack: LocalStack) -> None:
    with pytest.raises(
        PortTakenError, match=f"api-2: port {stack.redis.port} of 127.0.0.1 is in use; set CHURN_API_PORT"
    ):
        stack.start_service("api", "api-2", extra={"CHURN_API_PORT": str(stack.redis.port)})


def test_every_service_is_declared_once_with_a_port_of_its_own() -> None:
    assert [each.name for each in SERVICES] == ["features", "scorer", "archive", "learner", "audit", "keeper", "api"]
    assert [each.default_port for each in SERVICES] == [9101, 9102, 9103, 9104, 9105, 9106, 8000]


def test_unknown_service_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="no service is called 'scores'; there are features, scorer"):
        service("scores")


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(50))) == 50


class Unready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/ready" else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


def test_only_status_200_counts_as_an_answer(free_port: int) -> None:
    with http.server.HTTPServer(("127.0.0.1", free_port), Unready) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        answers = [answers_ok(f"http://127.0.0.1:{free_port}{path}") for path in ("/live", "/ready")]
        server.shutdown()
        thread.join()
    assert answers == [True, False]
    assert not answers_ok(f"http://127.0.0.1:{free_port}/live")
