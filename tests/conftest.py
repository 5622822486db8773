"""What every test may ask for: a real Kafka and Redis, names and ports of its own, programs and data of the machine.

The servers belong to the test session. If pytest is killed, the watcher of `compose.processes` ends them.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from compose.kafka import KafkaServer
from compose.local import free_ports
from compose.redis_server import RedisServer

# No deadline: on a shared machine one example in a thousand takes 300 ms, and a slow example is no defect.
hypothesis.settings.register_profile("churn", deadline=None, max_examples=100)
hypothesis.settings.load_profile("churn")

ROOT = Path(__file__).resolve().parent.parent
ON_CI = os.environ.get("CI") == "true"
APT_HINT = "`make test` installs it with apt-get where it may"

# `make test` hands whole files to two processes in this order: were a long one begun last, the other would only wait.
LONGEST_FIRST = (
    "tests/compose/test_chaos.py",
    "tests/stream_processors/test_fault_points.py",
    "tests/stream_processors/test_faults.py",
    "tests/compose/test_bench.py",
    "tests/compose/simulation/test_year.py",
    "tests/compose/test_past_commands.py",
    "tests/compose/test_observability.py",
    "tests/compose/test_cli.py",
    "tests/training/test_learner.py",
    "tests/training/test_learner_kills.py",
    "tests/producers/test_oulad.py",
    "tests/stream_processors/test_rebuild.py",
    "tests/stream_processors/test_archive.py",
    "tests/stream_processors/test_scoring.py",
    "tests/stream_processors/test_promotion.py",
    "tests/feature_repo/test_store.py",
    "tests/compose/test_alerts.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; all others stay in their order."""
    if missing := [name for name in LONGEST_FIRST if not (ROOT / name).is_file()]:
        raise pytest.UsageError(f"LONGEST_FIRST in tests/conftest.py names files that are gone: {', '.join(missing)}")
    rank = {ROOT / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def skip_or_fail(reason: str) -> None:
    """Skip on a person's machine; fail on CI, where a silent skip would hide that nothing was tested."""
    (pytest.fail if ON_CI else pytest.skip)(reason)


@pytest.fixture(scope="session")
def require_tool() -> Callable[..., Path]:
    """Return a function that finds the first of some programs on the PATH, or else skips (fails on CI)."""

    def find(*names: str) -> Path:
        for name in names:
            if found := shutil.which(name):
                return Path(found)
        skip_or_fail(f"{' or '.join(names)} is not on the PATH; {APT_HINT}")
        raise AssertionError("unreachable")

    return find


@pytest.fixture(scope="session")
def chromium(require_tool: Callable[..., Path]) -> Path:
    """Return a browser that Playwright can drive as Chromium."""
    return require_tool("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def oulad_folder() -> Path:
    """Return the folder with the OULAD tables of 2013, or else skip (fail on CI, unless it says TESTS_WITHOUT_OULAD=yes)."""
    folder = Path(os.environ.get("CHURN_OULAD_FOLDER") or ROOT.parent / "shared" / "data" / "oulad-2013")
    if not folder.is_dir():
        if os.environ.get("TESTS_WITHOUT_OULAD") == "yes":
            pytest.skip("TESTS_WITHOUT_OULAD is set: no OULAD tables here")
        skip_or_fail(f"no OULAD tables in {folder}; set CHURN_OULAD_FOLDER to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Return the session's real Kafka broker; take topic names from `topic_prefix`."""
    port, controller_port = free_ports(2)
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), port, controller_port)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return the session's real Redis."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), free_ports(1)[0])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    """Return a client of the session's Redis (replies are bytes), emptied before the test."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def topic_prefix() -> str:
    """Return a prefix for topics, groups and Feast projects that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody is listening on."""
    return free_ports(1)[0]
