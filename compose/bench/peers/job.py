"""What every peer's program is told on its command line."""

import sys
from dataclasses import astuple, dataclass
from typing import Self

MARKER = "marker-"
"""Users whose rows tell the measurement how far a peer has come have names that start with this."""

FETCH = {"fetch.queue.backoff.ms": 5, "queued.min.messages": 200_000, "fetch.message.max.bytes": 4 << 20}
"""With librdkafka's own 1 s of backoff a quick reader idles most of the time (200,000 events/s instead of 1.2 M)."""


@dataclass(frozen=True)
class Job:
    """Where events come from, where rows go, and a folder for what the engine keeps on disk."""

    brokers: str
    source: str
    target: str
    folder: str
    partitions: str

    @classmethod
    def of_command_line(cls) -> Self:
        """Read what `arguments` wrote."""
        return cls(*sys.argv[1:])

    def arguments(self) -> tuple[str, ...]:
        """Return the job as a command line."""
        return astuple(self)
