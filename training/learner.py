"""The learner process: a River model that learns each matured label once, from the vector that was emitted for it.

Labels and vectors are read by partition; the model and the position in both topics are saved in one file, so that a
kill neither repeats nor loses a label.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from churn.blocks import FeatureBlock, LabelBlock, decode_features, decode_labels
from churn.declaration import Declaration
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import FEATURES, LABELS, Topic
from feature_repo.instruments import Instruments
from training.delay_line import DelayLine, Joined, Population, Position
from training.online import OnlineLearner, Snapshot, latest, save

SAVE_ROWS = 20_000


@dataclass
class Lane:
    """One partition: its delay line, and blocks that were read but not used yet, with their offsets."""

    line: DelayLine
    labels: deque[tuple[int, LabelBlock]] = field(default_factory=deque)
    features: deque[tuple[int, FeatureBlock]] = field(default_factory=deque)
    next_feature: int = 0


class Learner:
    """Joins, learns, saves; `step` does what is possible with the blocks at hand."""

    def __init__(self, settings: Settings, declaration: Declaration, instruments: Instruments) -> None:
        self._settings = settings
        self._folder = settings.models_dir / "online"
        self._instruments = instruments
        found = latest(self._folder)
        self._number, snapshot = found or (0, None)
        version = declaration.feature_set_version
        self.model = OnlineLearner(declaration.feature_names, version, snapshot.model if snapshot else None)
        positions = snapshot.positions if snapshot else {}
        population = Population(declaration)
        self.lanes = {
            p: Lane(DelayLine(population, version, positions.get(p, Position()))) for p in range(settings.partitions)
        }
        self._unsaved_rows = 0

    def step(self, lane: Lane) -> bool:
        """Join and learn the next labels of a partition; False when more blocks are needed first."""
        if not lane.labels:
            return False
        offset, block = lane.labels[0]
        if lane.line.position.as_of_us != block.as_of_us and not lane.line.expects(block, lane.next_feature):
            self._pass(lane, offset)
            return True
        while lane.features and lane.line.offer(lane.features[0][1]):
            lane.next_feature = lane.features.popleft()[0] + 1
        if not lane.features:
            return False
        self._learn(lane.line.join(block))
        self._pass(lane, offset)
        return True

    def _pass(self, lane: Lane, offset: int) -> None:
        lane.labels.popleft()
        lane.line.position.label_offset = offset + 1

    def _learn(self, joined: Joined) -> None:
        if not joined.users:
            return
        self.model.learn(joined.matrix, joined.churned)
        gone = int(joined.churned.sum())
        self._instruments.count("churn_labels", gone, churned="true")
        self._instruments.count("churn_labels", len(joined.users) - gone, churned="false")
        self._instruments.set("churn_online_log_loss", self.model.rolling.log_loss(), model="river")
        self._instruments.set("churn_online_auc", self.model.rolling.auc(), model="river")
        self._unsaved_rows += len(joined.users)

    def save(self, least_rows: int = SAVE_ROWS) -> None:
        """Write a snapshot when this many rows were learned since the last one."""
        if self._unsaved_rows < least_rows:
            return
        self._number += 1
        self._unsaved_rows = 0
        save(
            self._folder,
            self._number,
            Snapshot(self.model.state(), {p: lane.line.position for p, lane in self.lanes.items()}),
        )

    def run(self, stop: threading.Event) -> None:
        """Learn until told to stop; saves before it returns."""
        for lane in self.lanes.values():
            lane.next_feature = lane.line.position.feature_offset
        labels = _reader(self._settings, LABELS, {p: lane.line.position.label_offset for p, lane in self.lanes.items()})
        features = _reader(self._settings, FEATURES, {p: lane.next_feature for p, lane in self.lanes.items()})
        try:
            while not stop.is_set():
                self._turn(labels, features)
        finally:
            self.save(1)
            labels.close()
            features.close()

    def _turn(self, labels: Consumer, features: Consumer) -> None:
        _fill(labels, self, True)
        if any(lane.labels and not lane.features for lane in self.lanes.values()):
            _fill(features, self, False)
        for lane in self.lanes.values():
            while self.step(lane):
                pass
        self.save()

    def not_ready(self) -> list[str]:
        """Return why the learner cannot do its work; it waits for labels without complaint."""
        return []


def _reader(settings: Settings, topic: Topic, starts: dict[int, int]) -> Consumer:
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.topic_prefix}-learner",
            "enable.auto.commit": False,
            "log_level": 2,
        }
    )
    consumer.assign([TopicPartition(topic.name(settings.topic_prefix), p, start) for p, start in starts.items()])
    return consumer


def _fill(consumer: Consumer, learner: Learner, labels: bool) -> None:
    messages: list[Any] = consumer.consume(100, 0.2)
    for message in messages:
        if message.error() is not None:
            continue
        lane = learner.lanes[message.partition()]
        if labels:
            lane.labels.append((message.offset(), decode_labels(message.value())))
        else:
            lane.features.append((message.offset(), decode_features(message.value())))
