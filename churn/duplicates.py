"""Recognising an event that was delivered twice, within a stated horizon."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from churn.admission import Admitted

GENERATION_RECORDS = 262_144
"""An `event_id` is recognised again for at least this many records of its partition, and at most for twice as many.

The horizon is counted in offsets, not in time, so that a replay from the log forgets exactly what the first run forgot.
"""


def rebuild_from(offset: int) -> int:
    """Return the first offset whose event ids matter to records from `offset` on.

    >>> rebuild_from(300_000)
    0
    >>> rebuild_from(600_000)
    262144
    """
    return max(0, offset // GENERATION_RECORDS - 1) * GENERATION_RECORDS


class DuplicateFilter:
    """Two generations of event ids; a generation is a fixed range of offsets."""

    def __init__(self) -> None:
        self._generation = -1
        self._current: set[str] = set()
        self._previous: set[str] = set()

    def fresh(self, admitted: Admitted) -> npt.NDArray[np.bool_]:
        """Tell which events are seen for the first time, and remember them."""
        mask = np.ones(len(admitted), dtype=np.bool_)
        generations = admitted.offsets // GENERATION_RECORDS
        bounds = [0, *(np.flatnonzero(np.diff(generations)) + 1).tolist(), len(admitted)]
        for start, stop in pairwise(bounds):
            if stop > start:
                self._turn(int(generations[start]))
                self._mark(admitted, start, stop, mask)
        return mask

    def _turn(self, generation: int) -> None:
        if generation == self._generation:
            return
        self._previous = self._current if generation == self._generation + 1 else set()
        self._current = set()
        self._generation = generation

    def _mark(self, admitted: Admitted, start: int, stop: int, mask: npt.NDArray[np.bool_]) -> None:
        ids = [event.event_id for event in admitted.events[start:stop]]
        current, previous = self._current, self._previous
        distinct = set(ids)
        if len(distinct) == len(ids) and distinct.isdisjoint(current) and distinct.isdisjoint(previous):
            current |= distinct
            return
        for position, event_id in enumerate(ids, start):
            if event_id in current or event_id in previous:
                mask[position] = False
            else:
                current.add(event_id)
