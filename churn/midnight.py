"""A midnight that is worked off in steps: who still waits for the vector that covers exactly what was before it."""

import numpy as np
import numpy.typing as npt

from churn.tiles import Slots

STEP_USERS = 2000
"""2,000 users are 4 ms of work; live events are taken between two steps."""


class Midnight:
    """The start of `day`, seen at `source_offset`; `arrived_us` is the arrival of the oldest event that is new in it."""

    def __init__(self, day: int, source_offset: int, arrived_us: int, waiting: npt.NDArray[np.bool_]) -> None:
        self.day, self.source_offset, self.arrived_us = day, source_offset, arrived_us
        self._waiting = waiting
        self._looked_at = 0

    def take(self, slots: Slots) -> Slots:
        """Return those of these users who wait; they do no longer."""
        mine = np.unique(slots[slots < len(self._waiting)])
        return self._taken(mine[self._waiting[mine]])

    def take_next(self, most: int) -> Slots:
        """Return who waits of the next slots, at most so many; they do no longer."""
        start = self._looked_at
        self._looked_at += most
        return self._taken(start + np.flatnonzero(self._waiting[start : self._looked_at]))

    def _taken(self, slots: Slots) -> Slots:
        self._waiting[slots] = False
        return slots

    @property
    def done(self) -> bool:
        """Tell whether everyone was looked at."""
        return self._looked_at >= len(self._waiting)
