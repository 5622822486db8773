"""The common task in Quix Streams: a streaming data frame with state in RocksDB and its changelog topic, one row an event.

    python -m compose.bench.peers.on_quix BROKERS SOURCE TARGET FOLDER PARTITIONS

Bytes are decoded and encoded by the task's own msgspec, which is quicker than the library's JSON.
"""

from typing import Any

from compose.bench.peers.job import FETCH, Job
from compose.bench.peers.tiles import decode, fresh, row, update


def keep(value: bytes, state: Any) -> bytes:
    """Add the event to its user's state and return the row."""
    event = decode(value)
    tiles = state.get("tiles") or fresh()
    values = update(tiles, event)
    state.set("tiles", tiles)
    return row(event.user_id, values)


def main(job: Job) -> None:
    """Run until SIGTERM."""
    from quixstreams import Application  # type: ignore[import-not-found]  # only in the peer's own environment

    app = Application(
        broker_address=job.brokers,
        consumer_group=f"{job.source}-quix",
        auto_offset_reset="earliest",
        state_dir=job.folder,
        loglevel="WARNING",
        consumer_extra_config=FETCH,
        producer_extra_config={"linger.ms": 20, "compression.type": "lz4"},
    )
    source = app.topic(job.source, key_deserializer="bytes", value_deserializer="bytes")
    target = app.topic(job.target, key_serializer="bytes", value_serializer="bytes")
    app.dataframe(source).apply(keep, stateful=True).to_topic(target)
    app.run()


if __name__ == "__main__":
    main(Job.of_command_line())
