"""What the learner learns, and in which order: pure, fed with blocks by their offsets, resumed from a snapshot.

Within a partition the order is that of the label log. Across partitions the earliest midnight comes first, then the
lowest partition; a partition is waited for while its log holds more, so the outcome is a function of the logs and not
of how they were read. A partition whose log has ended is not waited for: it may stay silent for days.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from churn.blocks import FeatureBlock, LabelBlock
from churn.declaration import Declaration
from churn.layout import DAY_US, Float64s
from churn.population import Population
from churn.scores import Champion
from training.delay_line import EVERYBODY, Chosen, DelayLine, Joined, Position
from training.online import OnlineLearner
from training.snapshots import Snapshot


@dataclass(frozen=True)
class Learnt:
    """A block of labels that was learnt, perhaps of nobody.

    Attributes:
        label_offset: its place in the labels of its partition.
        said: what the model could have said of the rows at their midnight, float64 [n]; None when it knew nothing yet.
    """

    partition: int
    label_offset: int
    known_at_us: int
    joined: Joined
    said: Float64s | None


@dataclass
class Lane:
    """One partition: its delay line, and blocks that were read but not used yet, with their offsets.

    Attributes:
        labels_ended, features_ended: everything that the log holds was read.
    """

    line: DelayLine
    labels: deque[tuple[int, LabelBlock]] = field(default_factory=deque)
    features: deque[tuple[int, FeatureBlock]] = field(default_factory=deque)
    labels_ended: bool = False
    features_ended: bool = False

    def __post_init__(self) -> None:
        self.next_feature = self.line.position.feature_offset
        self._last_epoch = -1

    def add_features(self, offset: int, block: FeatureBlock) -> None:
        """Keep a block that matters: a roll, or the first of another owner."""
        if block.kind == "roll" or block.epoch != self._last_epoch:
            self.features.append((offset, block))
        self._last_epoch = block.epoch

    def drop_outdated(self) -> int:
        """Pass over labels at the head that are of the past or of a former owner; returns how many blocks."""
        dropped = 0
        while self.labels and not self.line.expects(self.labels[0][1], self.next_feature):
            self._pass()
            dropped += 1
        return dropped

    def gather(self) -> bool:
        """Move on to the labels at the head; returns whether all vectors of their midnight are there."""
        while self.features and self.line.offer(self.features[0][1]):
            self.next_feature = self.features.popleft()[0] + 1
        return bool(self.features)

    def join(self) -> tuple[int, LabelBlock, Joined]:
        """Return the labels at the head with their offset and their rows, and pass on."""
        offset, labels = self.labels[0]
        joined = self.line.join(labels)
        self._pass()
        return offset, labels, joined

    def _pass(self) -> None:
        self.line.position.label_offset = self.labels.popleft()[0] + 1


class Course:
    """A model and the lanes that feed it."""

    def __init__(
        self,
        declaration: Declaration,
        partitions: Iterable[int],
        snapshot: Snapshot | None = None,
        chosen: Chosen = EVERYBODY,
    ) -> None:
        """Begin anew, or continue from a snapshot.

        Raises:
            DataError: the snapshot is of other features.
            DeclarationError: the features do not tell who is in the population.
        """
        self._version = declaration.feature_set_version
        self._population, self._chosen = Population(declaration), chosen
        state, horizon_days = snapshot.model if snapshot else None, declaration.label.horizon_days
        self.model = OnlineLearner(declaration.feature_names, self._version, state, horizon_days)
        self.lanes: dict[int, Lane] = {}
        self.outdated_blocks = 0
        for partition, position in (snapshot.positions if snapshot else {}).items():
            self._follow(partition, position)
        self.follow(partitions)

    def _follow(self, partition: int, position: Position) -> None:
        self.lanes[partition] = Lane(DelayLine(self._population, self._version, position, self._chosen))

    def follow(self, partitions: Iterable[int]) -> list[int]:
        """Take partitions in; returns those that are new.

        Users who move to a partition that is added later were learnt from where they came from: it begins after the
        latest midnight that was learnt anywhere.
        """
        new = sorted(set(partitions) - self.lanes.keys())
        latest_us = max((lane.line.position.as_of_us for lane in self.lanes.values()), default=-1)
        for partition in new:
            self._follow(partition, Position(as_of_us=latest_us + 1 if latest_us >= 0 else -1))
        return new

    def learn_next(self) -> Learnt | None:
        """Learn the next block of labels; returns its rows (perhaps none), or None when more must be read first."""
        heads = []
        for partition, lane in self.lanes.items():
            self.outdated_blocks += lane.drop_outdated()
            if lane.labels:
                heads.append((lane.labels[0][1].as_of_us, partition))
            elif not lane.labels_ended:
                return None
        for _, partition in sorted(heads):
            lane = self.lanes[partition]
            if lane.gather():
                return self._learn(partition, *lane.join())
            if not lane.features_ended:
                return None
        return None

    def _learn(self, partition: int, offset: int, labels: LabelBlock, joined: Joined) -> Learnt:
        said = None
        if joined.users:
            said = self.model.learn(joined.as_of_us // DAY_US, joined.matrix, joined.churned)
        return Learnt(partition, offset, labels.known_at_us, joined, said)

    def snapshot(self, champions: Iterable[Champion] = ()) -> Snapshot:
        """Return model and positions as they stand between two blocks, and the promotions that were heard of."""
        positions = {p: lane.line.position for p, lane in self.lanes.items()}
        return Snapshot(self.model.state(), positions, list(champions))
