"""The audit: vectors that were emitted for a sample of users against the same vectors from archived events.

A block waits until the archive holds every event below its source offset; then its sampled rows are computed again at
its own `as_of` and offset and compared bit by bit. Every kind of block is audited, also those of a former owner of a
partition: their vectors are a function of day and offset as well.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from churn.blocks import FeatureBlock
from churn.declaration import Declaration
from churn.errors import DefectError
from churn.layout import Floats
from churn.scores import from_us
from churn.time_travel import Moment, Sample, differing
from training.past import Recomputer
from training.sampled_events import EVENTS, SampledEvents

CHECK_ROWS = 2000
"""Rows computed together: 2,000 users x 31 days x 15 counters x 4 bytes = 4 MB of tiles."""
EXAMPLES = 5
ROW_BYTES = 120
"""What a waiting row costs beside its vector: a name, a moment, their places."""


@dataclass(frozen=True)
class Mismatch:
    """One feature of one vector that the archive does not confirm."""

    moment: Moment
    feature: str
    emitted: float
    recomputed: float

    def __str__(self) -> str:
        """Return it as a sentence."""
        moment = self.moment
        return (
            f"{moment.user}: {self.feature} was emitted as {self.emitted:g}, the archive says {self.recomputed:g}"
            f" (as of {from_us(moment.as_of_us).isoformat()}, partition {moment.partition},"
            f" source offset {moment.source_offset})"
        )


@dataclass
class Findings:
    """What was compared, and how often which feature differed; a few examples of each check."""

    checked: int = 0
    wrong: int = 0
    mismatches: Counter[str] = field(default_factory=Counter)
    examples: list[Mismatch] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Add the findings of another check."""
        self.checked += other.checked
        self.wrong += other.wrong
        self.mismatches.update(other.mismatches)
        self.examples = (self.examples + other.examples)[:EXAMPLES]


@dataclass(frozen=True)
class Waiting:
    """The sampled rows of one block of the features topic."""

    offset: int
    source_offset: int
    moments: list[Moment]
    matrix: Floats

    @property
    def bytes(self) -> int:
        """Return about how much memory the rows take."""
        return self.matrix.nbytes + ROW_BYTES * len(self.moments)


@dataclass
class Queue:
    """One partition: rows that wait, and the offset of the features topic below which nothing does."""

    next_offset: int
    waiting: deque[Waiting] = field(default_factory=deque)
    bytes: int = 0

    @property
    def done(self) -> int:
        """Return where a restart must read on."""
        return self.waiting[0].offset if self.waiting else self.next_offset

    def put(self, rows: Waiting) -> None:
        """Let rows wait behind the others."""
        self.waiting.append(rows)
        self.bytes += rows.bytes

    def get(self) -> Waiting:
        """Take out the rows that wait longest."""
        rows = self.waiting.popleft()
        self.bytes -= rows.bytes
        return rows


class Audit:
    """Takes blocks, holds what is sampled, and checks what the archive covers."""

    def __init__(
        self, declaration: Declaration, events: SampledEvents, sample: Sample, starts: Mapping[int, int]
    ) -> None:
        self.queues = {partition: Queue(start) for partition, start in starts.items()}
        self.outdated_blocks = self.waiting_rows = 0
        self.events = events
        self._sample, self._names = sample, declaration.feature_names
        self._version = declaration.feature_set_version
        self._recomputer = Recomputer(declaration)

    def take(self, partition: int, offset: int, block: FeatureBlock) -> None:
        """Put the sampled rows of a block aside; raises DefectError for a block of the wrong size."""
        queue = self.queues[partition]
        queue.next_offset = offset + 1
        if block.feature_set_version != self._version:
            self.outdated_blocks += 1
            return
        if len(block.values) != len(block.users) * len(self._names) * 4:
            raise DefectError(f"a block of {len(block.users)} users has {len(block.values)} bytes")
        rows = self._sample.rows(block.users)
        if rows:
            users = (block.users[row] for row in rows)
            moments = [Moment(user, block.partition, block.as_of_us, block.source_offset) for user in users]
            queue.put(Waiting(offset, block.source_offset, moments, block.matrix[rows]))
            self.waiting_rows += len(rows)

    def due(self) -> Iterator[Waiting]:
        """Take out blocks that the archive covers, in their order within a partition."""
        for partition, queue in self.queues.items():
            reach = self.events.reach.get(partition, 0)
            while queue.waiting and queue.waiting[0].source_offset <= reach:
                yield queue.get()

    def check(self) -> Findings:
        """Compare about as many rows as are computed together; nothing checked means that the rest must wait."""
        chosen: list[Waiting] = []
        rows = 0
        for each in self.due():
            chosen.append(each)
            rows += len(each.moments)
            if rows >= CHECK_ROWS:
                break
        self.waiting_rows -= rows
        return self._compare(chosen) if chosen else Findings()

    def _compare(self, chosen: list[Waiting]) -> Findings:
        moments = [moment for each in chosen for moment in each.moments]
        emitted = np.concatenate([each.matrix for each in chosen])
        recomputed = self._recomputer.vectors(self.events.database, EVENTS, moments)
        wrong = differing(emitted, recomputed)
        rows, columns = np.nonzero(wrong)
        counts = {self._names[c]: int(n) for c, n in enumerate(wrong.sum(axis=0).tolist()) if n}
        examples = [
            Mismatch(moments[r], self._names[c], float(emitted[r, c]), float(recomputed[r, c]))
            for r, c in zip(rows[:EXAMPLES].tolist(), columns[:EXAMPLES].tolist(), strict=True)
        ]
        return Findings(len(moments), int(wrong.any(axis=1).sum()), Counter(counts), examples)
