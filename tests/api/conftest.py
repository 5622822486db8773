"""An application on a real Redis, without Kafka: the champion is named by the test itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from starlette.testclient import TestClient

from api.app import create_app
from api.wiring import wire
from compose.redis_server import RedisServer
from feature_repo.champion import ServingModel
from tests.api.building import AS_OF, DECLARATION, champion, settings


@dataclass(frozen=True)
class Api:
    """A client of an application, and what the test may turn."""

    http: TestClient
    champion: ServingModel
    models_dir: Path
    project: str


@pytest.fixture
def open_api(tmp_path: Path, topic_prefix: str) -> Callable[[str], Api]:
    """Return a function that makes an application for a Redis; enter its client to start it."""

    def open_one(redis_url: str) -> Api:
        made = settings(redis_url=redis_url, data_dir=tmp_path, feast_project=topic_prefix, topic_prefix=topic_prefix)
        wired = replace(wire(made, DECLARATION), followers=(), clock=lambda: AS_OF + timedelta(seconds=90))
        client = TestClient(create_app(wired), raise_server_exceptions=False)
        return Api(client, wired.champion, made.models_dir, topic_prefix)

    return open_one


@pytest.fixture
def api(open_api: Callable[[str], Api], redis_server: RedisServer, redis_client: "redis.Redis") -> Iterator[Api]:
    """Return a running application that serves model version 1."""
    made = open_api(redis_server.url)
    made.champion.follow([champion(made.models_dir, "1")])
    with made.http:
        yield made
