"""Labels meet the vectors they are about: the features topic is the delay line.

A label of midnight D is known a horizon later, and belongs to the vector that was emitted for D. Everybody in the
population is emitted at every midnight, because the days since the last activity grow by one until their cap; so of
the whole log only the roll of D is held, while the labels of D are taken. Pure: blocks in, rows out; `Position` is all
that a restart needs, together with reading the topics again from its offsets.

Why the log is read twice instead of keeping what waits: 30 midnights of a million users with 53 features are 6.4 GB,
one midnight is 0.2 GB of vectors and 0.2 GB of names; a share of users (`CHURN_LEARNER_SHARE`) divides that. The price
is that the broker serves each block once more, 30 days old and from its disk: the volume of the topic, no more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np

from churn.blocks import FeatureBlock, LabelBlock
from churn.layout import Floats
from churn.population import Mask, Population

Chosen = Callable[[str], bool]
HASH_SPAN = 1 << 32


def sample(share: float) -> Chosen:
    """Return who is learnt from: always the same users, about this share of all.

    >>> sum(sample(0.5)(f"user-{i}") for i in range(1000))
    511
    """
    if share >= 1.0:
        return lambda _: True
    limit = int(share * HASH_SPAN)
    return lambda user: int.from_bytes(blake2b(user.encode(), digest_size=4).digest(), "little") < limit


EVERYBODY = sample(1.0)


class Position(msgspec.Struct):
    """Where one partition stands.

    Attributes:
        label_offset: next label block to take.
        feature_offset: blocks from here on are needed to join labels of `as_of_us`.
        feature_epoch: the owner of the partition where `feature_offset` is.
        joined: users whose label of `as_of_us` was learnt already; a restarted worker repeats its labels.
    """

    label_offset: int = 0
    feature_offset: int = 0
    as_of_us: int = -1
    label_epoch: int = 0
    feature_epoch: int = 0
    joined: set[str] = msgspec.field(default_factory=set)


@dataclass(frozen=True)
class Joined:
    """Rows to learn from: vectors float32 [n, features] as they stood, and what became of the users."""

    as_of_us: int
    users: list[str]
    matrix: Floats
    churned: Mask


class DelayLine:
    """Joins the labels of one partition with its vectors, midnight by midnight."""

    def __init__(
        self, population: Population, feature_set_version: str, position: Position, chosen: Chosen = EVERYBODY
    ) -> None:
        self.position = position
        self.epoch = position.feature_epoch
        self._population, self._chosen = population, chosen
        self._version = feature_set_version
        self._forget()

    def _forget(self) -> None:
        self._row_of: dict[str, int] = {}
        self._parts: list[Floats] = []

    def expects(self, labels: LabelBlock, next_feature_offset: int) -> bool:
        """Turn to these labels; False when they are of the past or of a worker that lost the partition."""
        position = self.position
        if labels.epoch < position.label_epoch or labels.as_of_us < position.as_of_us:
            return False
        position.label_epoch = labels.epoch
        if labels.as_of_us > position.as_of_us:
            position.as_of_us, position.feature_offset = labels.as_of_us, next_feature_offset
            # A restart reads from that offset, where blocks of this owner and of later ones count.
            position.feature_epoch = self.epoch
            position.joined = set()
            self._forget()
        return True

    def offer(self, block: FeatureBlock) -> bool:
        """Take a block that lies before the midnight after the one at hand; False when it does not: offer it later."""
        if block.epoch < self.epoch:
            return True
        # Other blocks tell only who owns the partition: they may hold events of the day that begins.
        if block.kind == "roll" and block.as_of_us > self.position.as_of_us:
            return False
        self.epoch = block.epoch
        if block.kind == "roll" and block.as_of_us == self.position.as_of_us:
            self._hold(block)
        return True

    def _hold(self, block: FeatureBlock) -> None:
        if not block.users or block.feature_set_version != self._version:
            return
        matrix = block.matrix
        among = self._population.at_midnight(matrix).tolist()
        rows = [row for row, user in enumerate(block.users) if among[row] and self._chosen(user)]
        first = sum(map(len, self._parts))
        self._row_of.update((block.users[row], first + place) for place, row in enumerate(rows))
        self._parts.append(matrix[rows])

    def join(self, labels: LabelBlock) -> Joined:
        """Return the rows of these labels, after all blocks of their midnight were offered."""
        position = self.position
        pairs = [
            (user, self._row_of[user], gone)
            for user, gone in zip(labels.users, labels.churned.tolist(), strict=True)
            if user in self._row_of and user not in position.joined
        ]
        users = [user for user, _, _ in pairs]
        position.joined.update(users)
        if not pairs:
            return Joined(labels.as_of_us, [], np.zeros((0, 0), np.float32), np.zeros(0, np.bool_))
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        matrix = self._parts[0][[row for _, row, _ in pairs]]
        return Joined(labels.as_of_us, users, matrix, np.array([gone for _, _, gone in pairs], np.bool_))
