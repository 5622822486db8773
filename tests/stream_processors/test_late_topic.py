"""A worker that is started before its topic is there works as soon as it is."""

import os
import sys
from pathlib import Path

from churn.topics import ACTIVITY
from compose.environment import read_settings
from compose.kafka import KafkaServer
from compose.local import ROOT
from compose.processes import Child, ChildSpec, wait_until
from compose.topic_admin import ensure_topics
from compose.waiting import Lag
from producers.publisher import Publisher
from tests.stream_processors.road import START, event


def test_a_worker_takes_up_a_topic_that_came_after_it(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path, free_port: int
) -> None:
    names = {
        "CHURN_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "CHURN_TOPIC_PREFIX": topic_prefix,
        "CHURN_DATA_DIR": str(tmp_path), "CHURN_METRICS_PORT": str(free_port), "CHURN_ARCHIVE_FLUSH_SECONDS": "1",
        "CHURN_DECLARATION": "feature_repo/declarations/elearning.yaml",
    }  # fmt: skip
    settings = read_settings(names)
    argv = (sys.executable, "-m", "compose", "worker", "archive")
    child = Child.start(ChildSpec("archive", argv, tmp_path / "archive.log", {**os.environ, **names}, ROOT))
    try:
        wait_until(lambda: "missing topic" in child.log_tail(), 60, "the worker misses its topic")
        ensure_topics(settings)
        with Publisher({"bootstrap.servers": kafka.bootstrap_servers}, ACTIVITY.name(topic_prefix)) as publisher:
            publisher.publish_all([event("ann", "session_started", START, "e1")])
        lag = Lag(settings, "archive", ACTIVITY)
        wait_until(lambda: lag.done() >= 1, 40, "the event is archived")
        assert lag.done() == 1
        lag.close()
    finally:
        child.kill()
