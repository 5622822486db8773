"""The midnights of a worker's partitions, worked off in steps between live events."""

import asyncio
from collections.abc import Callable, Mapping

from churn.partition import Effect
from stream_processors.owned import OwnedPartition

PAUSE_SECONDS = 0.001
"""After each step, of 4 ms: the thread that fetches and the one that writes rows wait for this one's lock on Python."""


class Midnights:
    """Steps through what midnights still bring, one partition after the other; events and ticks go on in between."""

    def __init__(
        self,
        owned: Mapping[int, OwnedPartition],
        take: Callable[[OwnedPartition, Effect], None],
        passed: Callable[[OwnedPartition], None],
    ) -> None:
        """Prepare; `take` gets each effect, `passed` a partition that is over its midnight."""
        self._owned, self._take, self._passed = owned, take, passed
        self._work: asyncio.Task[None] | None = None

    def go_on(self) -> None:
        """Work off whatever midnight is not done; raises what went wrong with the one before."""
        if self._work is not None and self._work.done():
            self._work.result()
            self._work = None
        if self._work is None and self._unfinished():
            self._work = asyncio.create_task(self._work_off())

    def _unfinished(self) -> list[OwnedPartition]:
        return [owned for owned in self._owned.values() if owned.state.rolling]

    async def _work_off(self) -> None:
        while unfinished := self._unfinished():
            first = unfinished[0]
            for effect in first.state.step():
                self._take(first, effect)
            if not first.state.rolling:
                self._passed(first)
            await asyncio.sleep(PAUSE_SECONDS)
