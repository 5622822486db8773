"""The common task in stock Faust: an agent, a Table with its changelog, one row an event.

python -m compose.bench.peers.on_faust BROKERS SOURCE TARGET FOLDER PARTITIONS
"""

import logging
from typing import Any

import faust
import msgspec
from faust.serializers import codecs

from compose.bench.peers.job import Job
from compose.bench.peers.tiles import decode, fresh, row, update


class QuickJson(codecs.Codec):
    """JSON by msgspec, in the place of Faust's own: 4 us a state instead of 30."""

    def _dumps(self, obj: Any) -> bytes:
        return msgspec.json.encode(obj)

    def _loads(self, s: bytes) -> Any:
        return msgspec.json.decode(s)


def create_app(job: Job) -> faust.App:
    """Return the application."""
    codecs.register("quick-json", QuickJson())
    app = faust.App(
        f"{job.source}-faust",
        broker=f"kafka://{job.brokers}",
        store="memory://",
        datadir=job.folder,
        web_enabled=False,
        topic_partitions=int(job.partitions),
        topic_replication_factor=1,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    activity = app.topic(job.source, value_serializer="raw")
    rows = app.topic(job.target, value_serializer="raw")
    users: Any = app.Table("users", partitions=int(job.partitions))
    users.value_serializer = "quick-json"  # Faust has no argument for it

    @app.agent(activity)
    async def keep(stream: Any) -> None:
        async for value in stream:
            event = decode(value)
            state = users.get(event.user_id) or fresh()
            values = update(state, event)
            users[event.user_id] = state
            await rows.send(key=event.user_id, value=row(event.user_id, values))

    return app


def main(job: Job) -> None:
    """Run until SIGTERM."""
    logging.disable(logging.INFO)  # five records an event are made even where none is shown
    app = create_app(job)
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main(Job.of_command_line())
