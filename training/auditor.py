"""The audit process: follows the features topic and the archive, compares, and says what it found.

How far it has come is committed to its consumer group, after the comparison: a restart goes on there. It changes
nothing and nobody waits for it.
"""

import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from churn.blocks import FeatureBlock, decode_features
from churn.declaration import Declaration
from churn.errors import DataError, OutageError
from churn.kafka_config import ClientConfig, client_config
from churn.settings import Settings
from churn.time_travel import Sample
from churn.topics import FEATURES
from feature_repo.instruments import Instruments
from training.audit import CHECK_ROWS, Audit, Findings
from training.block_reader import BlockReader
from training.sampled_events import SampledEvents

WAIT_SECONDS = 0.2
RETRY_SECONDS = COMMIT_SECONDS = 1.0
KAFKA_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Auditor:
    """Reads, compares, tells."""

    def __init__(self, settings: Settings, declaration: Declaration, instruments: Instruments) -> None:
        """Prepare; connects when it runs."""
        self._settings, self._declaration, self.instruments = settings, declaration, instruments
        self._config = client_config(settings)
        self._topic = FEATURES.name(settings.topic_prefix)
        self._group = f"{settings.topic_prefix}-audit"
        self._problem = "the audit has not begun yet"
        self._archive_problem = ""
        self._looked = self._committed_at = float("-inf")
        self._committed: dict[int, int] = {}
        self._reader: BlockReader | None = None
        self.found = Findings()
        # Known series begin at 0, because a rate does not see the first step of a new one.
        for name in declaration.feature_names:
            instruments.count("churn_audit_mismatches", 0, feature=name)

    def run(self, stop: threading.Event) -> None:
        """Audit until told to stop."""
        starts = self._starts(stop)
        with tempfile.TemporaryDirectory() as scratch:
            sample = Sample(self._settings.audit_share)
            events = SampledEvents(self._declaration, self._settings.archive_dir, sample, Path(scratch))
            reader = BlockReader(self._config, self._topic, self._group, starts)
            self._reader = reader
            audit = Audit(self._declaration, events, sample, starts)
            try:
                while not stop.is_set():
                    self._turn(reader, audit)
            finally:
                self._commit(reader, audit, wait=True)
                reader.close()
                events.close()

    def _commit(self, reader: BlockReader, audit: Audit, wait: bool = False) -> None:
        """Tell how far the audit has come, once a second while it moves and at the end."""
        done = {partition: queue.done for partition, queue in audit.queues.items()}
        now = time.monotonic()
        if done != self._committed and (wait or now - self._committed_at >= COMMIT_SECONDS):
            reader.commit(done, wait)
            self._committed, self._committed_at = done, now

    def _starts(self, stop: threading.Event) -> dict[int, int]:
        """Return where the group stands, as soon as Kafka says so."""
        partitions = range(self._settings.partitions)
        while not stop.is_set():
            try:
                starts = committed(self._config, self._group, self._topic, partitions)
            except OutageError as error:
                self._problem = str(error)
                stop.wait(RETRY_SECONDS)
            else:
                self._problem = ""
                return starts
        return dict.fromkeys(partitions, 0)

    def _turn(self, reader: BlockReader, audit: Audit) -> None:
        def take(partition: int, offset: int, value: bytes) -> None:
            audit.take(partition, offset, decode_features(value))

        idle = not reader.read(take, 0.0)
        for partition, queue in audit.queues.items():
            reader.hold(partition, queue.bytes)
        if audit.waiting_rows:
            self._follow(audit)
        findings = audit.check()
        self._tell(reader, audit, findings)
        self._commit(reader, audit)
        if idle and not findings.checked:
            reader.read(take, WAIT_SECONDS)

    def _follow(self, audit: Audit) -> None:
        """Look for new segments, a few times between two flushes of the archive."""
        now = time.monotonic()
        if now - self._looked < max(1.0, self._settings.archive_flush_seconds / 4):
            return
        self._looked = now
        try:
            audit.events.follow()
            self._archive_problem = ""
        except (DataError, OSError) as error:
            self._archive_problem = f"the archive cannot be read: {error}"

    def _tell(self, reader: BlockReader, audit: Audit, findings: Findings) -> None:
        undecodable, reader.undecodable = reader.undecodable, 0
        outdated, audit.outdated_blocks = audit.outdated_blocks, 0
        self.instruments.count("churn_skipped_blocks", undecodable, reason="undecodable")
        self.instruments.count("churn_skipped_blocks", outdated, reason="outdated")
        self.instruments.set("churn_audit_waiting_rows", audit.waiting_rows)
        self.instruments.count("churn_audit_checked", findings.checked)
        for feature, count in findings.mismatches.items():
            self.instruments.count("churn_audit_mismatches", count, feature=feature)
        for example in findings.examples:
            log.error("an emitted vector is not what the archive says", mismatch=str(example))
        self.found.add(findings)

    def not_ready(self) -> list[str]:
        """Return why the audit cannot do its work; mismatches are findings, not reasons."""
        reading = self._reader.problem if self._reader else ""
        return [problem for problem in (self._problem, reading, self._archive_problem) if problem]


@dataclass(frozen=True)
class Report:
    """What one pass over a features topic found; `waiting` rows are not covered by the archive yet."""

    found: Findings
    waiting: int
    outdated_blocks: int


def audit_once(
    declaration: Declaration, archive_dir: Path, sample: Sample, partitions: int, blocks: Iterable[FeatureBlock]
) -> Report:
    """Compare these blocks, in the order of their partitions' offsets, with what is archived now.

    Raises:
        DataError: a segment's file is missing.
    """
    found = Findings()
    with tempfile.TemporaryDirectory() as scratch:
        events = SampledEvents(declaration, archive_dir, sample, Path(scratch))
        try:
            events.follow()
            audit = Audit(declaration, events, sample, dict.fromkeys(range(partitions), 0))
            for number, block in enumerate(blocks):
                audit.take(block.partition, number, block)
                if audit.waiting_rows >= CHECK_ROWS:
                    found.add(audit.check())
            while (findings := audit.check()).checked:
                found.add(findings)
            return Report(found, audit.waiting_rows, audit.outdated_blocks)
        finally:
            events.close()


def committed(config: ClientConfig, group: str, topic: str, partitions: range) -> dict[int, int]:
    """Return the offsets that a group has committed, 0 where it has none.

    Raises:
        OutageError: Kafka does not answer.
    """
    consumer = Consumer({**config, "group.id": group, "enable.auto.commit": False, "log_level": 2})
    try:
        places = consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=KAFKA_SECONDS)
    except KafkaException as error:
        raise OutageError(f"{topic}: the audit's position cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return {place.partition: max(0, place.offset) for place in places}
