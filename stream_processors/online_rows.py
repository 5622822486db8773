"""The online rows of a worker's partitions: written in turn, made whole when the store lost some, deleted with their users."""

import asyncio
from collections.abc import Callable

import numpy as np
import structlog

from churn.errors import OutageError
from churn.fault_points import passing
from churn.partition import Bits
from churn.tiles import Slots
from feature_repo.errors import EmptiedError
from feature_repo.instruments import Instruments
from feature_repo.online import OnlineWriter
from stream_processors.owned import OwnedPartition

SLICE_USERS, MIDNIGHT_SLICE_USERS, MIDNIGHT_SLICE_CELLS = 20_000, 2_000, 16_000
"""At most so many rows of a partition go to the online store at once: with new events, and because of a midnight or a new
owner, which would hold up live events otherwise: 2,000 rows of 5 changed fields take 7 ms, 300 whole ones as long."""

log = structlog.get_logger(__name__)


class OnlineRows:
    """Keeps the online store equal to what was emitted; every call may be made beside another."""

    def __init__(
        self, writer: OnlineWriter, fence_prefix: str, instruments: Instruments, wall_us: Callable[[], int]
    ) -> None:
        self._writer, self._fence = writer, fence_prefix
        self._instruments, self._wall_us = instruments, wall_us
        # In turn: a write of older vectors that is still under way must not end after one of newer vectors.
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def verify(self, owned: OwnedPartition) -> None:
        """Refill an online store that lost rows: emptied (the fence goes with them), or started again from older ones."""
        fence = self._fence_of(owned)
        async with self._turn:
            lost = owned.fenced and not await asyncio.to_thread(self._stands, fence, owned.online_run)
        if lost:
            self._refill(owned)
            owned.fenced = False

    def _stands(self, fence: tuple[str, int], online_run: str) -> bool:
        return self._writer.holds(fence) and self._writer.run_id() == online_run

    def _refill(self, owned: OwnedPartition) -> None:
        log.warning("the online store lost rows; it is filled again from the state", partition=owned.state.number)
        owned.refresh_for = owned.refresh_for or ""

    def _fence_of(self, owned: OwnedPartition) -> tuple[str, int]:
        return f"{self._fence}{owned.state.number}", owned.epoch

    async def delete_departed(self, owned: OwnedPartition) -> None:
        """Delete rows of forgotten users, before any row is written: one who came back since gets a whole new one.

        Only then do their values leave the changelog. After a kill in between the next owner finds them there and
        forgets them again, so no row stays behind.
        """
        async with self._turn:
            users = list(owned.departed)
            if users:
                await asyncio.to_thread(self._writer.delete, users, self._fence_of(owned))
                del owned.departed[: len(users)]
                owned.forgotten += users

    async def write(self, owned: OwnedPartition) -> None:
        """Write rows of users with new events that are behind.

        Raises:
            OutageError: they are still behind; write again.
        """
        async with self._turn:
            await self._write_taken(owned, *owned.take_stale(SLICE_USERS, 0, 0))

    async def write_waiting(self, owned: OwnedPartition) -> None:
        """Write a slice of the rows that nobody waits for; raises as `write`."""
        async with self._turn:
            await self._write_taken(owned, *owned.take_stale(0, MIDNIGHT_SLICE_USERS, MIDNIGHT_SLICE_CELLS))

    async def _write_taken(self, owned: OwnedPartition, slots: Slots, bits: Bits) -> None:
        if not len(slots):
            return
        arrived_us, owned.oldest_online_us = owned.oldest_online_us, 0
        matrix, as_of_us = owned.state.emitted(slots)
        users, fence = owned.state.names(slots), self._fence_of(owned)
        started_us = self._wall_us()
        try:
            if not owned.fenced:
                owned.online_run = await asyncio.to_thread(self._writer.run_id)
            chosen = np.unpackbits(bits, axis=1, count=matrix.shape[1]).view(np.bool_)
            unfenced = await asyncio.to_thread(self._writer.write, users, matrix, as_of_us, fence, chosen)
        except EmptiedError:
            owned.fenced = False
            owned.mark_stale(slots, urgent=True)
            self._refill(owned)
            return
        except OutageError:
            owned.mark_stale(slots, bits, urgent=True)
            owned.oldest_online_us = arrived_us
            raise
        passing("features.after_online")
        # Emptied since the last look, which this write would hide from the next one, or while nobody owned the partition.
        if unfenced and (owned.fenced or owned.epoch > 1):
            self._refill(owned)
        owned.fenced = True
        done_us = self._wall_us()
        self._instruments.observe("churn_online_write_seconds", (done_us - started_us) / 1e6)
        self._instruments.count("churn_online_rows", len(slots))
        if arrived_us and owned.emits_updates:
            self._instruments.observe("churn_freshness_seconds", (done_us - arrived_us) / 1e6, hop="online")
