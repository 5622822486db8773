"""Which midnights are complete, and the vectors of a sample of their users: fed with blocks, asked for the next day.

A midnight is complete in a partition when a roll of a later one was seen there, or when its log has ended and brought no
more of it for a moment. A partition that has nothing of a midnight is waited for longer: it may be late, or silent.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
import numpy as np

from churn.blocks import FeatureBlock
from churn.layout import DAY_US, Floats
from churn.population import Population

SAMPLE_USERS = 20_000
"""Of a midnight are kept: PSI and mean of so many differ from those of a million by less than any bound asks for."""
QUIET_SECONDS, BRIEF_SECONDS = 0.3, 0.1
"""Between two blocks of one midnight lie milliseconds: so long without another one, at the log's end, it is whole; the
shorter time where vectors of a later moment were seen, as there the worker is over most of it."""
ABSENT_SECONDS = 5.0
"""Partitions step over midnight within about two seconds of each other, unless one has nobody or nothing to say."""


class Place(msgspec.Struct):
    """Where the keeper stands in one partition of the features topic: next block, owner, last midnight that it closed."""

    offset: int = 0
    epoch: int = 0


@dataclass(frozen=True)
class Midnight:
    """The population of one midnight (UTC day number), or the users of it with the smallest hashes.

    Attributes:
        matrix: float32 [users, features], as they were emitted.
        offsets: by partition, the source offset below which every event is in the vectors.
    """

    day: int
    users: list[str]
    matrix: Floats
    offsets: dict[int, int]


def hash_of(user: str) -> int:
    """Return a number that is always the same for a user, and spread evenly over users."""
    return int.from_bytes(blake2b(user.encode(), digest_size=8, person=b"keeper").digest(), "little")


@dataclass
class _Sample:
    """The users with the smallest hashes among those that were offered."""

    most: int
    rows: dict[str, Floats] = field(default_factory=dict)
    heap: list[tuple[int, str]] = field(default_factory=list)

    def offer(self, users: Iterable[str], matrix: Floats) -> None:
        for user, row in zip(users, matrix, strict=True):
            if user not in self.rows:
                heapq.heappush(self.heap, (-hash_of(user), user))
            self.rows[user] = row
            if len(self.heap) > self.most:
                del self.rows[heapq.heappop(self.heap)[1]]


class Midnights:
    """Gathers blocks; says which midnight is complete."""

    def __init__(
        self,
        population: Population,
        feature_set_version: str,
        partitions: Iterable[int],
        closed_day: int,
        places: dict[int, Place],
        most: int = SAMPLE_USERS,
    ) -> None:
        """Go on after `closed_day` (-1: none yet) at these places."""
        self._population, self._version, self._most = population, feature_set_version, most
        self._nothing = np.zeros((0, 0), np.float32)
        self.places = {p: places.get(p, Place()) for p in partitions}
        self.closed_day = closed_day
        self.clock_us = 0
        """Latest event time that a block of any kind told of."""
        self.wanted_day = -1
        """Vectors of midnights before it are not taken: a sample of 20,000 users costs 40 ms each."""
        self._latest = dict.fromkeys(self.places, -1)
        self._told_us = dict.fromkeys(self.places, -1)
        self._open: dict[int, _Sample] = {}
        self._offsets: dict[int, dict[int, int]] = {}
        self._begins: dict[int, dict[int, int]] = {}
        self._seen_at: dict[int, float] = {}
        self._rolled_at: dict[int, float] = {}

    def take(self, partition: int, offset: int, block: FeatureBlock, at_seconds: float) -> None:
        """Take the next block of a partition; `at_seconds` is of any clock that only goes forward."""
        place = self.places[partition]
        if block.epoch < place.epoch:
            return
        place.epoch = block.epoch
        self.clock_us = max(self.clock_us, block.as_of_us)
        self._told_us[partition] = max(self._told_us[partition], block.as_of_us)
        day = block.as_of_us // DAY_US
        if block.kind != "roll" or day <= self.closed_day:
            return
        self._latest[partition] = max(self._latest[partition], day)
        self._rolled_at[partition] = at_seconds
        self._seen_at.setdefault(day, at_seconds)
        self._offsets.setdefault(day, {})[partition] = block.source_offset
        self._begins.setdefault(day, {}).setdefault(partition, offset)
        self._keep(day, block)

    def _keep(self, day: int, block: FeatureBlock) -> None:
        sample = self._open.setdefault(day, _Sample(self._most))
        if day >= self.wanted_day and block.users and block.feature_set_version == self._version:
            matrix = block.matrix
            rows = np.flatnonzero(self._population.at_midnight(matrix))
            sample.offer([block.users[row] for row in rows.tolist()], matrix[rows])

    def next(self, ended: Iterable[int], at_seconds: float) -> Midnight | None:
        """Close and return the earliest midnight that is complete; None when more must be read or waited for.

        `ended` are the partitions whose log was read to its end.
        """
        if not self._open:
            return None
        day, at_end = min(self._open), set(ended)
        if not all(self._passed(partition, day, at_end, at_seconds) for partition in self.places):
            return None
        return self._close(day)

    def _passed(self, partition: int, day: int, at_end: set[int], at_seconds: float) -> bool:
        if self._latest[partition] > day:
            return True
        if partition not in at_end:
            return False
        if self._latest[partition] == day:
            beyond = self._told_us[partition] > day * DAY_US
            return at_seconds - self._rolled_at[partition] >= (BRIEF_SECONDS if beyond else QUIET_SECONDS)
        return at_seconds - self._seen_at[day] >= ABSENT_SECONDS

    def settled(self, ended: Iterable[int], at_seconds: float) -> bool:
        """Tell whether the log was read to its end and has brought nothing of a midnight for a while.

        While a history streams in midnights follow each other within seconds.
        """
        last = max(self._rolled_at.values(), default=float("-inf"))
        return not self._open and set(ended) >= self.places.keys() and at_seconds - last >= ABSENT_SECONDS

    def _close(self, day: int) -> Midnight:
        sample, offsets = self._open.pop(day), self._offsets.pop(day)
        del self._seen_at[day], self._begins[day]
        self.closed_day = day
        users = list(sample.rows)
        matrix = np.stack([sample.rows[user] for user in users]) if users else self._nothing
        return Midnight(day, users, matrix, offsets)

    def ahead(self) -> dict[int, int]:
        """Return how many midnights each partition is ahead of the earliest that is open."""
        first = min(self._open, default=self.closed_day)
        return {partition: max(0, latest - first) for partition, latest in self._latest.items()}

    def resume(self, next_offsets: dict[int, int]) -> dict[int, Place]:
        """Return from where a restart must read, so that midnights that are open now are whole again then."""
        begins = {
            p: min((each[p] for each in self._begins.values() if p in each), default=next_offsets[p])
            for p in self.places
        }
        return {p: Place(begins[p], place.epoch) for p, place in self.places.items()}
