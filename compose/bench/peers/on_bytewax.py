"""The common task in Bytewax: a dataflow with `stateful_map`, one worker, one row an event.

    python -m compose.bench.peers.on_bytewax BROKERS SOURCE TARGET FOLDER PARTITIONS

Without recovery, as a dataflow is unless told otherwise: state lives in memory only, which is the quickest.
"""

from typing import Any

from compose.bench.peers.job import FETCH, Job
from compose.bench.peers.tiles import Event, Features, State, decode, fresh, row, update


def keep(state: State | None, event: Event) -> tuple[State, Features]:
    """Add the event to its user's state and return the state and the features."""
    state = state or fresh()
    return state, update(state, event)


def flow_of(job: Job) -> Any:
    """Return the dataflow."""
    import bytewax.operators as op  # type: ignore[import-not-found]  # only in the peer's own environment
    from bytewax.connectors.kafka import (  # type: ignore[import-not-found]  # the same
        KafkaSink,
        KafkaSinkMessage,
        KafkaSource,
    )
    from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]  # the same

    def keyed(message: Any) -> tuple[str, Event]:
        event = decode(message.value)
        return event.user_id, event

    def answer(pair: tuple[str, Features]) -> Any:
        user_id, values = pair
        return KafkaSinkMessage(user_id.encode(), row(user_id, values))

    flow = Dataflow("tiles")
    source = KafkaSource(
        [job.brokers], [job.source], batch_size=10_000, add_config={k: str(v) for k, v in FETCH.items()}
    )
    events = op.map("decode", op.input("events", flow, source), keyed)
    rows = op.map("encode", op.stateful_map("tiles", events, keep), answer)
    op.output("rows", rows, KafkaSink([job.brokers], job.target, add_config={"linger.ms": "20"}))
    return flow


def main(job: Job) -> None:
    """Run until SIGTERM."""
    from bytewax.run import cli_main  # type: ignore[import-not-found]  # only in the peer's own environment

    cli_main(flow_of(job))


if __name__ == "__main__":
    main(Job.of_command_line())
