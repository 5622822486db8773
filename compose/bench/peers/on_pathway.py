"""The common task in Pathway: incremental group-bys by user and day, then by user; one row per changed user and minibatch.

    python -m compose.bench.peers.on_pathway BROKERS SOURCE TARGET FOLDER PARTITIONS

Reading, decoding, counting and writing run in its Rust engine; Python only makes features of a changed user's tiles.
A change is two messages, the old row with `pathway_diff` -1 and the new one. Without persistence, as it is unless told
otherwise. Minibatches are as long as Pathway wants by itself (`autocommit_duration_ms`, 1.5 s), which is the quickest.
"""

from datetime import date
from typing import Any

from compose.bench.peers.job import Job
from compose.bench.peers.tiles import features, row


def answer(user_id: str, tiles: tuple[tuple[str, int, int, int, int], ...]) -> bytes:
    """Return the row of a user as of the last day with an event."""
    numbered = [(date.fromisoformat(day).toordinal(), *counts) for day, *counts in tiles]
    active = [tile[0] for tile in numbered if tile[4]]
    return row(user_id, features(max(active, default=None), numbered, max(tile[0] for tile in numbered)))


def rows_of(events: Any) -> Any:
    """Return the table of (user, row) that follows from a table of events."""
    import pathway as pw  # type: ignore[import-not-found]  # only in the peer's own environment

    kind = pw.this.event_type
    active = (kind == "session_started") | (kind == "lesson_completed") | (kind == "quiz_submitted")
    counted = events.select(
        user_id=pw.this.user_id,
        day=pw.this.occurred_at.str.slice(0, 10),
        sessions=pw.cast(int, kind == "session_started"),
        lessons=pw.cast(int, kind == "lesson_completed"),
        hundredths=pw.cast(int, pw.this.minutes * 100 + 0.5),
        activities=pw.cast(int, active),
    )
    days = counted.groupby(pw.this.user_id, pw.this.day).reduce(
        pw.this.user_id,
        tile=pw.make_tuple(
            pw.this.day,
            pw.reducers.sum(pw.this.sessions),
            pw.reducers.sum(pw.this.lessons),
            pw.reducers.sum(pw.this.hundredths),
            pw.reducers.sum(pw.this.activities),
        ),
    )
    users = days.groupby(pw.this.user_id).reduce(pw.this.user_id, tiles=pw.reducers.tuple(pw.this.tile))
    return users.select(pw.this.user_id, row=pw.apply_with_type(answer, bytes, pw.this.user_id, pw.this.tiles))


def main(job: Job) -> None:
    """Run until SIGTERM."""
    import pathway as pw

    class Event(pw.Schema):  # type: ignore[misc]  # its type is not known here
        user_id: str
        event_type: str
        occurred_at: str
        minutes: float = pw.column_definition(default_value=0.0)

    settings = {"bootstrap.servers": job.brokers, "group.id": f"{job.source}-pathway", "auto.offset.reset": "earliest"}
    paths = {"minutes": "/measures/minutes"}
    events = pw.io.kafka.read(settings, job.source, schema=Event, format="json", json_field_paths=paths)
    rows = rows_of(events)
    pw.io.kafka.write(rows, settings, job.target, format="raw", key=rows.user_id, value=rows.row)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(Job.of_command_line())
