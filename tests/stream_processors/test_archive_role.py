"""The archive role on a real Kafka and real files, step by step."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from churn.records import Record
from churn.settings import Settings
from compose.kafka import KafkaServer
from compose.topic_admin import ensure_topics
from feature_repo.archive import files
from feature_repo.declared import load
from feature_repo.instruments import Instruments
from stream_processors.archive import ArchiveRole

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Clock:
    """Wall time that moves when the test says so."""

    us: int = int(START.timestamp()) * 1_000_000

    def pass_flush_interval(self, settings: Settings) -> None:
        """Let so much time pass that an open segment is due."""
        self.us += settings.archive_flush_seconds * 1_000_000


def records(first: int, last: int) -> list[Record]:
    """Return one log-in at each offset."""
    arrived_us = int(START.timestamp()) * 1_000_000
    return [Record(n, arrived_us, b"u1", login(n)) for n in range(first, last)]


def login(number: int) -> bytes:
    """Return an event as JSON."""
    at = (START - timedelta(days=1) + timedelta(seconds=number)).isoformat()
    fields = {"event_id": f"e{number}", "user_id": "u1", "event_type": "session_started", "occurred_at": at}
    return msgspec.json.encode({**fields, "schema_version": 1})


def offsets_by_segment(folder: Path) -> dict[str, list[int]]:
    """Return the offsets that each segment's file holds, by the first offset in its name."""
    return {path.stem.split("-")[1].lstrip("0"): offsets_in(path) for path in files(folder)}


def offsets_in(path: Path) -> list[int]:
    """Return the offsets in a file."""
    return sorted(pq.read_table(path, columns=["offset"]).column("offset").to_pylist())


def test_events_that_arrive_while_a_segment_is_written_go_into_the_next(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, data_dir=tmp_path)
    ensure_topics(settings)
    clock = Clock()
    role = ArchiveRole(settings, load(settings.declaration), Instruments("archive"), lambda: clock.us)

    async def scenario() -> None:
        await role.acquire([0], 1)
        await role.process(0, records(0, 500), 500)
        clock.pass_flush_interval(settings)
        writing = asyncio.create_task(role.tick())
        await asyncio.sleep(0)  # the thread writes; the loop is free again
        await role.process(0, records(500, 900), 900)
        await writing
        clock.pass_flush_interval(settings)
        await role.tick()

    asyncio.run(scenario())
    assert offsets_by_segment(settings.archive_dir) == {"": list(range(500)), "500": list(range(500, 900))}
    assert role.committable() == {0: 900}
