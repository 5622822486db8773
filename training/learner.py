"""The learner process: a River model that learns each matured label once, from the vector that was emitted for it.

Labels and vectors are read by partition; the model and the position in both topics are saved in one file, so that a
kill at any time neither repeats nor loses a label. What a kill undoes is learnt again from the log in the same order.
Of each block of labels it publishes what every model says, and saves only when that is delivered.
"""

import math
import threading
import time
from collections.abc import Iterable

import numpy as np
import structlog

from churn.blocks import FeatureBlock, LabelBlock, decode_features, decode_labels
from churn.declaration import Declaration
from churn.errors import DefectError
from churn.fault_points import passing
from churn.kafka_config import client_config
from churn.model import Scorer
from churn.scores import Champion
from churn.settings import Settings
from churn.topics import FEATURES, LABELS, MODELS, OUTCOMES
from feature_repo.bundles import load
from feature_repo.champion import Record, ServingModel
from feature_repo.control import ModelsFollower
from feature_repo.instruments import Instruments
from feature_repo.manifest import signature_of
from training.block_reader import BlockReader
from training.course import Course, Learnt
from training.delay_line import sample
from training.loop.contestants import Contestants
from training.loop.outcomes import ONLINE, OutcomesWriter, outcome
from training.rival import Rival
from training.snapshots import latest, save
from training.window import Judged

SAVE_ROWS = 20_000
"""Under a second of learning: what a kill may undo; also saved as soon as there is nothing left to learn."""
WAIT_SECONDS = 0.1
PARTITIONS_SECONDS = 60.0
BLOCKS_A_TURN = 50
NAME_BYTES = 64
"""What a user of a block that waits costs beside the vector or label: a string and its place."""
CHAMPION = "champion"
SHOW_SECONDS = 1.0
"""While there is much to learn: a champion of trees takes 30 ms to score the window."""
DAY_SECONDS = 86_400

log = structlog.get_logger(__name__)


class Learner:
    """Reads, learns, judges itself and the champion, saves."""

    def __init__(
        self,
        settings: Settings,
        declaration: Declaration,
        instruments: Instruments,
        partitions_seconds: float = PARTITIONS_SECONDS,
    ) -> None:
        """Continue from the latest snapshot; connects when it runs.

        Raises:
            DataError: the snapshot is of another version, of other features, or damaged.
        """
        self._settings, self.instruments = settings, instruments
        self._partitions_seconds = partitions_seconds
        self._version, self._width = declaration.feature_set_version, len(declaration.feature_names)
        self._folder = settings.models_dir / "online"
        self._number, snapshot = latest(self._folder) or (0, None)
        self.course = Course(declaration, range(settings.partitions), snapshot, sample(settings.learner_share))
        self.model = self.course.model
        self.rival = Rival()
        self._serving = ServingModel(settings.models_dir, declaration, instruments)
        signature = signature_of(declaration)
        self.contestants = Contestants(
            lambda champion: load(settings.models_dir, champion, self._version, signature),
            snapshot.champions if snapshot else [],
        )
        self._outcomes: OutcomesWriter | None = None
        self._unsaved_rows = self._unsaved_blocks = 0
        self._readers: tuple[BlockReader, ...] = ()
        self._save_problem = ""
        self._news, self._shown_at = False, -math.inf
        self._show()

    def run(self, stop: threading.Event) -> None:
        """Learn until told to stop; saves before it returns."""
        config, prefix, lanes = client_config(self._settings), self._settings.topic_prefix, self.course.lanes
        group = f"{prefix}-learner"
        label_starts = {p: lane.line.position.label_offset for p, lane in lanes.items()}
        feature_starts = {p: lane.next_feature for p, lane in lanes.items()}
        labels = BlockReader(config, LABELS.name(prefix), group, label_starts)
        features = BlockReader(config, FEATURES.name(prefix), group, feature_starts)
        self._readers = (labels, features)
        self._outcomes = OutcomesWriter(config, OUTCOMES.name(prefix))
        follower = ModelsFollower(
            config, MODELS.name(prefix), self._settings.model_name,
            self._on_records, self._serving.unreadable, self._serving.retry,
        )  # fmt: skip
        follower.following.start()
        try:
            self._learn_until(stop, labels, features)
            if self._unsaved_blocks:
                self._save(labels)
        finally:
            follower.following.stop()
            labels.close()
            features.close()

    def _on_records(self, records: list[Record]) -> None:
        self.contestants.note([record for record in records if isinstance(record, Champion)])
        self._serving.follow(records)

    def _learn_until(self, stop: threading.Event, labels: BlockReader, features: BlockReader) -> None:
        looked = time.monotonic()
        while not stop.is_set():
            self._turn(labels, features)
            if time.monotonic() - looked >= self._partitions_seconds:
                looked = time.monotonic()
                self.widen(labels, features)

    def widen(self, labels: BlockReader, features: BlockReader) -> None:
        """Follow partitions that were added to the topics."""
        added = self.course.follow(labels.partitions())
        if added:
            log.info("partitions were added", partitions=added)
            labels.follow(dict.fromkeys(added, 0))
            features.follow(dict.fromkeys(added, 0))

    def _turn(self, labels: BlockReader, features: BlockReader) -> None:
        read = labels.read(self._take_labels, 0.0) + features.read(self._take_features, 0.0)
        self._look(labels, features)
        # What cannot be saved is not added to: an outage of Kafka or a full disk is waited out.
        learnt = self._learn() if self._unsaved_rows < SAVE_ROWS else 0
        self._tell(labels, features)
        idle = not read and not learnt
        done = idle and all(lane.labels_ended for lane in self.course.lanes.values())
        self._show_news(learnt > 0, idle)
        self.instruments.set("churn_judged_models", len(self.present()))
        if self._unsaved_rows >= SAVE_ROWS or (done and self._unsaved_blocks):
            self._save(labels)
        if idle and done:
            labels.read(self._take_labels, WAIT_SECONDS)
        elif idle:
            features.read(self._take_features, WAIT_SECONDS)

    def _look(self, labels: BlockReader, features: BlockReader) -> None:
        """Note per partition whether its logs have ended, and pause the logs that are far ahead."""
        for partition, lane in self.course.lanes.items():
            lane.labels_ended, lane.features_ended = labels.ended(partition), features.ended(partition)
            labels.hold(partition, _bytes(block for _, block in lane.labels))
            features.hold(partition, _bytes(block for _, block in lane.features))

    def _learn(self) -> int:
        """Learn what is there, but a few blocks at most: reading, readiness and stopping have their turn."""
        scorers = self.present()
        for count in range(BLOCKS_A_TURN):
            learnt = self.course.learn_next()
            if learnt is None:
                return count
            self._count(learnt)
            if learnt.joined.users and self._outcomes is not None:
                self._outcomes.write(outcome(learnt, scorers))
            if self._unsaved_rows >= SAVE_ROWS:
                return count + 1
        return BLOCKS_A_TURN

    def present(self) -> list[Scorer]:
        """Return whose probabilities stand beside the labels that are learnt now."""
        serving = self._serving.serving
        if serving is None:
            return []
        challengers = [scorer for _, scorer in serving.challengers]
        return self.contestants.present(serving.champion, serving.scorer, challengers)

    def _count(self, learnt: Learnt) -> None:
        joined = learnt.joined
        gone = int(joined.churned.sum())
        self.instruments.count("churn_labels", gone, churned="true")
        self.instruments.count("churn_labels", len(joined.users) - gone, churned="false")
        self._unsaved_blocks += 1
        self._unsaved_rows += len(joined.users)

    def _show_news(self, learnt: bool, idle: bool) -> None:
        serving = self._serving.serving
        promoted = self.rival.meets(serving.scorer if serving else None)
        # The snapshot remembers who served before.
        self._unsaved_blocks += promoted
        self._news = self._news or promoted or learnt
        if self._news and (idle or time.monotonic() - self._shown_at >= SHOW_SECONDS):
            self._show()

    def _show(self) -> None:
        self._news, self._shown_at = False, time.monotonic()
        compared = self.rival.compared(self.model.window)
        self._show_judged(ONLINE, compared.online)
        self._show_judged(CHAMPION, compared.champion)
        self.instruments.set("churn_online_judged_rows", compared.online.rows)
        if self.model.issued.latest_day >= 0:
            self.instruments.set("churn_learned_midnight_seconds", self.model.issued.latest_day * DAY_SECONDS)

    def _show_judged(self, model: str, judged: Judged) -> None:
        figures = {"log_loss": judged.log_loss, "auc": judged.auc, "calibration_error": judged.calibration_error}
        for name, value in figures.items():
            # What is not known (any more, after a promotion) is not shown as it was.
            if math.isnan(value):
                self.instruments.forget(f"churn_online_{name}", model=model)
            else:
                self.instruments.set(f"churn_online_{name}", value, model=model)

    def _tell(self, labels: BlockReader, features: BlockReader) -> None:
        undecodable, labels.undecodable, features.undecodable = labels.undecodable + features.undecodable, 0, 0
        outdated, self.course.outdated_blocks = self.course.outdated_blocks, 0
        self.instruments.count("churn_skipped_blocks", undecodable, reason="undecodable")
        self.instruments.count("churn_skipped_blocks", outdated, reason="outdated")
        self._unsaved_blocks += undecodable + outdated
        if outdated:
            log.warning("labels of the past or of a partition's former owner are not learnt", blocks=outdated)

    def _save(self, labels: BlockReader) -> None:
        passing("learner.before_delivery")
        if self._outcomes is not None and not self._outcomes.delivered():
            return
        passing("learner.before_snapshot")
        self._number += 1
        snapshot = self.course.snapshot(self.contestants.seen)
        try:
            save(self._folder, self._number, snapshot)
        except OSError as error:
            self._save_problem = f"the snapshot cannot be written to {self._folder}: {error.strerror}"
            log.error("a snapshot was not written; a kill would repeat the work since", error=self._save_problem)
            return
        self._save_problem = ""
        self._unsaved_rows = self._unsaved_blocks = 0
        passing("learner.after_snapshot")
        labels.commit({p: position.label_offset for p, position in snapshot.positions.items()})
        passing("learner.after_group_commit")

    # --- blocks come in ---

    def _take_labels(self, partition: int, offset: int, value: bytes) -> None:
        block = decode_labels(value)
        if len(block.values) != len(block.users):
            raise DefectError(f"a block of {len(block.users)} users has {len(block.values)} labels")
        self.course.lanes[partition].labels.append((offset, block))

    def _take_features(self, partition: int, offset: int, value: bytes) -> None:
        block = decode_features(value)
        if block.feature_set_version == self._version:
            _check(block, self._width)
        self.course.lanes[partition].add_features(offset, block)

    # --- surroundings ---

    def not_ready(self) -> list[str]:
        """Return why the learner cannot do its work; it waits for labels without complaint."""
        if not self._readers:
            return ["the learner has not begun yet"]
        undelivered = self._outcomes.problem if self._outcomes is not None else ""
        problems = (*(reader.problem for reader in self._readers), undelivered, self._save_problem)
        return [problem for problem in problems if problem]


def _check(block: FeatureBlock, width: int) -> None:
    if len(block.values) != len(block.users) * width * 4:
        raise DefectError(f"a block of {len(block.users)} users x {width} features has {len(block.values)} bytes")
    # One infinity would turn every weight into NaN for good.
    if np.isinf(block.matrix).any():
        raise DefectError("a block has an infinite value")


def _bytes(blocks: Iterable[FeatureBlock | LabelBlock]) -> int:
    return sum(len(block.values) + NAME_BYTES * len(block.users) for block in blocks)
