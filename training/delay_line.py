"""Labels meet the vectors they are about: the features topic is the delay line.

A label of midnight D is known a horizon later, and belongs to the vector that stood at D. Everybody in the population
gets a fresh vector at every midnight, because the days since the last activity grow by one until their cap; so for each
D only the blocks since the midnight before need to be held. Pure: blocks in, rows out; `Position` is all that a
restart needs, together with reading the topics again from its offsets.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from churn.blocks import FeatureBlock, LabelBlock
from churn.layout import Floats
from churn.population import Mask, Population

__all__ = ["DelayLine", "Joined", "Population", "Position"]  # learners take the population from here too


class Position(msgspec.Struct):
    """Where one partition stands.

    Attributes:
        label_offset: next label block to take.
        feature_offset: blocks from here on are needed to join labels of `as_of_us`.
        joined: users whose label of `as_of_us` was taken already; a restarted worker repeats its labels.
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

    users: list[str]
    matrix: Floats
    churned: Mask


class DelayLine:
    """Joins the labels of one partition with its vectors, midnight by midnight."""

    def __init__(self, population: Population, feature_set_version: str, position: Position) -> None:
        self.position = position
        self._population = population
        self._version = feature_set_version
        self._vectors: dict[str, Floats] = {}

    def expects(self, labels: LabelBlock, next_feature_offset: int) -> bool:
        """Turn to these labels; False when they are of the past or of a worker that lost the partition."""
        position = self.position
        if labels.epoch < position.label_epoch or labels.as_of_us < position.as_of_us:
            return False
        position.label_epoch = labels.epoch
        if labels.as_of_us > position.as_of_us:
            position.as_of_us, position.feature_offset = labels.as_of_us, next_feature_offset
            position.joined = set()
            self._vectors = {}
        return True

    def offer(self, block: FeatureBlock) -> bool:
        """Take a block that counts for the labels at hand; False when it lies after their midnight: offer it later."""
        after = block.as_of_us > self.position.as_of_us
        # Only a roll covers nothing of the day that begins; another block of the same instant may hold its first event.
        if after or (block.as_of_us == self.position.as_of_us and block.kind != "roll"):
            return False
        if block.epoch >= self.position.feature_epoch:
            self.position.feature_epoch = block.epoch
            if block.users and block.feature_set_version == self._version:
                self._vectors.update(zip(block.users, block.matrix, strict=True))
        return True

    def join(self, labels: LabelBlock) -> Joined:
        """Return the rows of these labels, after all blocks up to their midnight were offered."""
        pairs = [
            (user, self._vectors[user], gone)
            for user, gone in zip(labels.users, labels.churned.tolist(), strict=True)
            if user in self._vectors and user not in self.position.joined
        ]
        self.position.joined.update(labels.users)
        if not pairs:
            return Joined([], np.zeros((0, 0), np.float32), np.zeros(0, np.bool_))
        matrix = np.stack([vector for _, vector, _ in pairs])
        chosen = self._population.at_midnight(matrix)
        users = [user for (user, _, _), keep in zip(pairs, chosen.tolist(), strict=True) if keep]
        return Joined(users, matrix[chosen], np.array([gone for _, _, gone in pairs], np.bool_)[chosen])
