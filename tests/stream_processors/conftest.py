"""What the tests of the stream share: settings whose topics are nobody else's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from churn.settings import Settings
from compose.kafka import KafkaServer
from compose.redis_server import RedisServer
from compose.topic_admin import ensure_topics
from tests.api.building import settings


@pytest.fixture
def own_settings(
    kafka: KafkaServer, redis_server: RedisServer, topic_prefix: str, tmp_path: Path
) -> Callable[[int], Settings]:
    """Return a function that makes settings of so many partitions on the session's servers; their topics exist."""

    def make(partitions: int) -> Settings:
        made = settings(
            kafka_bootstrap_servers=kafka.bootstrap_servers, redis_url=redis_server.url, topic_prefix=topic_prefix,
            feast_project=topic_prefix, data_dir=tmp_path, partitions=partitions,
        )  # fmt: skip
        ensure_topics(made)
        return made

    return make
