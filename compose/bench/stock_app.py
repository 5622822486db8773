"""The same work in stock Faust: one agent, `async for event in stream`, a table with its changelog, one send an event.

It is the simplest honest code for the task, kept generous: msgspec decodes, features are plain Python without
numpy, Redis gets Feast's bytes as one pipelined HSET an event over a blocking client (quicker here than an asynchronous
one), duplicates are recognised in memory only, nothing checks the contract, and time stops at the last event, before
anything must be delivered or committed.

    python -m compose.bench.stock_app COUNT SECONDS FILE    (settings by CHURN_* variables)
"""

import json
import logging
import os
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import msgspec
import redis
from faust.serializers import codecs

from churn.events import decode
from churn.layout import DAY_US, layout_of
from churn.scores import to_us
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES
from compose.bench.stock_state import Counting, PlainFeatures, fresh
from compose.environment import read_settings
from feature_repo.declared import load
from feature_repo.encoding import entity_key, field_hash, float32_value, timestamp_field, timestamp_value
from feature_repo.layout import USER_FEATURES


class QuickJson(codecs.Codec):
    """JSON by msgspec, in the place of Faust's own: 4 us a state instead of 30."""

    def _dumps(self, obj: Any) -> bytes:
        return msgspec.json.encode(obj)

    def _loads(self, s: bytes) -> Any:
        return msgspec.json.decode(s)


codecs.register("quick-json", QuickJson())


@dataclass
class Goal:
    """Ends the measurement after so many events or seconds, counted from the first event."""

    count: int
    seconds: float
    file: Path
    done: int = 0
    began: float = 0.0
    cpu_began: float = 0.0

    def start(self) -> None:
        """Start the clock at the first event."""
        if not self.began:
            self.began, self.cpu_began = time.perf_counter(), time.process_time()

    def reach(self) -> None:
        """Count one event that is wholly dealt with; write the figures when the goal is reached."""
        self.done += 1
        spent = time.perf_counter() - self.began
        if self.done == self.count or (spent > self.seconds and not self.file.exists()):
            cpu_seconds = time.process_time() - self.cpu_began
            unfinished = self.file.with_suffix(".unfinished")
            unfinished.write_text(
                json.dumps({"events": self.done, "seconds": spent, "cpu_seconds": cpu_seconds}), encoding="utf-8"
            )
            unfinished.replace(self.file)


class Rows:
    """Writes one user's row to Redis in Feast's bytes."""

    def __init__(self, settings: Settings, feature_names: tuple[str, ...]) -> None:
        self._client = redis.Redis.from_url(settings.redis_url.get_secret_value())
        self._project = settings.feast_project
        self._fields = [field_hash(USER_FEATURES, name) for name in feature_names]
        self._time = timestamp_field(USER_FEATURES)

    def write(self, user_id: str, vector: list[float], as_of_us: int) -> None:
        """Write a row with one pipelined HSET."""
        row: dict[Any, Any] = dict(zip(self._fields, map(float32_value, vector), strict=True))
        row[self._time] = timestamp_value(as_of_us)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hset(entity_key(user_id, self._project), mapping=row)  # type: ignore[arg-type]  # any bytes are a key
        pipeline.execute()


def create_app(settings: Settings, goal: Goal) -> faust.App:
    """Return the stock application."""
    declaration = load(settings.declaration)
    layout = layout_of(declaration)
    counting, features, rows = Counting(layout), PlainFeatures(layout), Rows(settings, declaration.feature_names)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        f"{settings.topic_prefix}-stock",
        broker=[f"kafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
        store="memory://",
        # Stays empty, but Faust makes the folder, by default where the process starts.
        datadir=str(settings.data_dir / "faust"),
        web_enabled=False,
        topic_partitions=settings.partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    activity = app.topic(ACTIVITY.name(settings.topic_prefix), value_serializer="raw")
    vectors = app.topic(FEATURES.name(settings.topic_prefix), value_serializer="raw")
    users: Any = app.Table("users", partitions=settings.partitions)
    users.value_serializer = "quick-json"  # Faust has no argument for it
    packed = struct.Struct(f"<q{len(declaration.features)}f")
    seen: set[str] = set()

    @app.agent(activity)
    async def keep(stream: Any) -> None:
        async for value in stream:
            goal.start()
            event = decode(value)
            if event.event_id not in seen:
                seen.add(event.event_id)
                state = users.get(event.user_id) or fresh(layout)
                counting.add(state, event)
                users[event.user_id] = state
                occurred_us = to_us(event.occurred_at)
                vector = features.compute(state, occurred_us // DAY_US)
                rows.write(event.user_id, vector, occurred_us)
                await vectors.send(key=event.user_id, value=packed.pack(occurred_us, *vector))
            goal.reach()

    return app


def main(count: str, seconds: str, file: str) -> None:
    """Run until SIGTERM."""
    logging.disable(logging.INFO)  # five records an event are made even where none is shown
    settings = read_settings(os.environ)
    app = create_app(settings, Goal(int(count), float(seconds), Path(file)))
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
