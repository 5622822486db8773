"""What a worker does with one topic; Faust delivers, the role decides."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from churn.records import Record


class Role(Protocol):
    """The owner of partitions of one topic; `round_seconds` is the least time from one fetch to the next."""

    name: str
    topic: str
    round_seconds: float

    async def acquire(self, partitions: Iterable[int], generation: int) -> Mapping[int, int]:
        """Load what these partitions need; returns where to start reading (absent: at the committed offset)."""

    async def release(self, partitions: Iterable[int]) -> None:
        """Make everything durable that these partitions have done, and forget them."""

    async def process(self, partition: int, records: Sequence[Record], end_offset: int) -> None:
        """Take the next records of a partition; `end_offset` is the end of the partition as last seen."""

    async def tick(self) -> None:
        """Do what is due with time; called every few milliseconds, one call at a time."""

    def committable(self) -> Mapping[int, int]:
        """Return the offsets below which every effect is durable."""

    def not_ready(self) -> list[str]:
        """Return why the role cannot do its work; empty when it can."""

    def close(self) -> None:
        """Let go of every connection."""
