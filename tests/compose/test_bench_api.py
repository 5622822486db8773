import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from compose.bench_api import run

STALL_SECONDS = 0.3


class StallingOnce(BaseHTTPRequestHandler):
    """Answers at once, except that one request holds up everyone who comes meanwhile."""

    protocol_version = "HTTP/1.1"
    gate = threading.Lock()

    def do_GET(self) -> None:
        with self.gate:
            if self.path == "/users/slow":
                time.sleep(STALL_SECONDS)  # the stall is what is measured
        status = 404 if self.path == "/users/ghost" else 200
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by the base class
        """Say nothing."""


class Listening(ThreadingHTTPServer):
    """Takes all connections of the load at once; the default queue of five makes the others wait a second each."""

    request_queue_size = 128


@pytest.fixture
def server() -> Iterator[str]:
    with Listening(("127.0.0.1", 0), StallingOnce) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def test_a_stall_is_charged_to_everyone_who_came_meanwhile(server: str) -> None:
    users = ["fast"] * 20 + ["slow"] + ["fast"] * 79
    figures = run(server, users, requests_per_second=200, seconds=0.5)
    assert (figures["answered"], figures["failed"]) == (100, 0)
    # 60 of the 100 requests were due within the stall; a loop that waits for answers would see one slow one.
    assert isinstance(figures["p50_ms"], float)
    assert figures["p50_ms"] > 20


def test_answers_that_are_not_good_are_counted_and_not_timed(server: str) -> None:
    figures = run(server, ["ghost", "fast"], requests_per_second=100, seconds=0.2)
    assert (figures["answered"], figures["failures"]) == (10, {"status 404": 10})
