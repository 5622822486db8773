"""One owned partition: its state, its changelog, and what of it is not yet in the online store."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from churn.partition import ALL_BITS, Bits, Departures, Partition
from churn.records import Record
from churn.tiles import Slots, grown
from stream_processors.changelog import Changelog

CURRENT_US = 3_600_000_000
"""Events that arrive within an hour of their own time are current; older ones are a replay of the past."""
WAITING, URGENT = 1, 2
IDLE_US = 2_000_000
"""After 2 s without records a partition that is caught up lives by the wall clock."""


@dataclass
class OwnedPartition:
    """A partition this worker owns.

    Attributes:
        epoch: number of owners so far; carried by every block and row that this owner writes.
        saved_offset: everything below is durable.
        generation: the consumer group's generation in which it was last assigned.
        refresh_for: a promotion whose model wants to see everyone.
        fenced: whether rows of this owner stand in the online store.
        departed: users the state has forgotten, whose rows are still in the online store.
        forgotten: users whose rows are deleted, whose values are still in the changelog.
        online_run: which start of which Redis they were written to.
        oldest_online_us: arrival of the oldest event whose effect is not in the online store.
    """

    state: Partition
    changelog: Changelog
    epoch: int
    generation: int
    saved_offset: int
    read_offset: int
    end_offset: int = 0
    rebuilt_below: int = 0
    last_arrival_us: int = 0
    last_checkpoint_us: int = 0
    refresh_for: str | None = None
    oldest_online_us: int = 0
    fenced: bool = False
    online_run: str = ""
    departed: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    stale: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        self._stale_bits: Bits = np.zeros((0, -(-len(self.state.plan.names) // 8)), np.uint8)

    @property
    def caught_up(self) -> bool:
        """Tell whether every record seen on the broker is applied."""
        return self.read_offset >= self.end_offset

    @property
    def emits_updates(self) -> bool:
        """Tell whether readers may follow event by event.

        While the past is replayed they may not: they would see sums climb from zero.
        """
        lag_us = self.last_arrival_us - self.state.clock.watermark_us
        return self.caught_up or 0 <= lag_us < CURRENT_US

    def idle(self, wall_us: int) -> bool:
        """Tell whether time must move without events."""
        return self.caught_up and wall_us - self.last_arrival_us > IDLE_US

    def note(self, records: Sequence[Record], end_offset: int) -> None:
        """Remember how far reading has come."""
        self.read_offset = records[-1].offset + 1
        self.end_offset = max(end_offset, self.read_offset)
        self.last_arrival_us = records[-1].arrived_us

    def mark_stale(self, slots: Slots, changed: Bits | None = None, urgent: bool = False) -> None:
        """Remember users whose row in the online store is behind, and in which fields (None: in all)."""
        self.stale = grown(self.stale, self.state.users)
        self._stale_bits = grown(self._stale_bits, self.state.users)
        # A failed write may give back slots that their users have left since.
        present = self.state.slab.offsets[slots] >= 0
        if not present.all():
            slots, changed = slots[present], None if changed is None else changed[present]
        self.stale[slots] = np.maximum(self.stale[slots], URGENT if urgent else WAITING)
        if changed is None:
            self._stale_bits[slots] = ALL_BITS
        else:
            self._stale_bits[slots] |= changed

    def let_go(self, departures: Departures) -> None:
        """Take note of users that the state has forgotten."""
        self.departed += departures.users
        slots = departures.slots[departures.slots < len(self.stale)]
        self.stale[slots] = 0
        self._stale_bits[slots] = 0

    def take_forgotten(self) -> list[str]:
        """Return the users whose values leave the changelog; the value of one who came back since replaced the old."""
        forgotten, self.forgotten = self.forgotten, []
        return [user for user in forgotten if user not in self.state.slab.slot_of]

    @property
    def behind(self) -> bool:
        """Tell whether rows of users of whom events came are not in the online store."""
        return bool((self.stale == URGENT).any())

    @property
    def waiting(self) -> bool:
        """Tell whether rows are behind that nobody waits for: those of a midnight, or of a new owner."""
        return bool((self.stale == WAITING).any())

    def take_stale(self, most_urgent: int, most_waiting: int, most_cells: int) -> tuple[Slots, Bits]:
        """Return and clear some users whose online row is behind, with the fields that are.

        Users of whom an event came go first: a midnight, which touches everybody, must not hold them up. Of the others
        as many go as have `most_cells` fields to be written.
        """
        urgent = np.flatnonzero(self.stale == URGENT)[:most_urgent]
        waiting = np.flatnonzero(self.stale == WAITING)[: max(0, most_waiting - len(urgent))]
        cells = np.cumsum(np.bitwise_count(self._stale_bits[waiting]).sum(axis=1))
        waiting = waiting[: int(np.searchsorted(cells, most_cells, "right"))]
        slots = np.concatenate([urgent, waiting])
        bits = self._stale_bits[slots]
        self.stale[slots] = 0
        self._stale_bits[slots] = 0
        return slots, bits
