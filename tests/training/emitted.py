"""What a stream emits of a history, and the archive of the same history, as the roles write it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from churn.admission import Admitted
from churn.blocks import FeatureBlock
from churn.layout import DAY_US
from churn.partition import Emission, Partition
from churn.time_travel import Moment
from stream_processors.segments import SegmentWriter
from tests.churn.histories import ADMISSION, DECLARATION, LAYOUT, Happening, at, record


def late_and_repeated(history: Sequence[Happening], chance: random.Random) -> list[Happening]:
    """Return the history about in the order of time: some come late, by hours or weeks, some come twice."""
    delays = [0, 0, 0, 3_600_000_000, 40 * DAY_US]
    named = [Happening(h.user, h.kind, h.at_us, h.amount, h.plan, f"id{i}") for i, h in enumerate(history)]
    named += chance.sample(named, len(named) // 4)
    return sorted(named, key=lambda h: h.at_us + chance.choice(delays))


@dataclass(frozen=True)
class Streamed:
    """Everything that a partition emitted, and the events that it accepted."""

    blocks: list[FeatureBlock]
    accepted: Admitted
    end: int

    def moments(self) -> list[Moment]:
        """Return the moment of each emitted vector."""
        return [Moment(user, b.partition, b.as_of_us, b.source_offset) for b in self.blocks for user in b.users]

    def vectors(self) -> list[bytes]:
        """Return the emitted vectors in the same order."""
        return [vector.tobytes() for block in self.blocks for vector in block.matrix]

    def archive(self, folder: Path, start: int = 0, end: int | None = None) -> None:
        """Write the accepted events of offsets [start, end) as one segment."""
        stop = self.end if end is None else end
        offsets = self.accepted.offsets
        chosen = self.accepted.take((offsets >= start) & (offsets < stop))
        SegmentWriter(folder, DECLARATION).write(0, start, stop, [chosen])


def stream(history: Sequence[Happening], size: int) -> Streamed:
    """Let a partition take a history in batches of a size, emit updates after each, let time pass after every third.

    Everyone is emitted at the end.
    """
    partition, kept, blocks = Partition(LAYOUT, 0), list[Admitted](), list[FeatureBlock]()
    for start in range(0, len(history), size):
        part = [record(h, start + i, at(200)) for i, h in enumerate(history[start : start + size])]
        batch, _ = ADMISSION.admit(part)
        kept.append(batch)
        effects = [*partition.ingest(batch, start + len(part)), partition.updates()]
        if start // size % 3 == 2:  # half a day without events: the wall clock brings a midnight, or does not
            effects += partition.advance(partition.clock.arrived_us + DAY_US // 2)
        blocks += [_block(partition, e) for e in effects if isinstance(e, Emission)]
    everyone = partition.refresh()
    blocks += [_block(partition, everyone)] if everyone else []
    return Streamed(blocks, _once(Admitted.joined(kept)), len(history))


def _block(partition: Partition, emission: Emission) -> FeatureBlock:
    return FeatureBlock(
        emission.kind, 0, 1, emission.as_of_us, emission.source_offset, emission.arrived_us,
        DECLARATION.feature_set_version, partition.names(emission.slots), emission.matrix.tobytes(),
    )  # fmt: skip


def _once(whole: Admitted) -> Admitted:
    _, firsts = np.unique([event.event_id for event in whole.events], return_index=True)
    return whole.take(np.sort(firsts))
