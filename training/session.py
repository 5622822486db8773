"""One training from the archive to a promotion, one at a time: what `churn train` runs, for a person or for the keeper."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from churn.declaration import Declaration
from churn.errors import InputError, OutageError
from churn.scores import Champion
from training.audit_log import AuditLog
from training.card_files import publish
from training.plan import MANUAL, Plan
from training.registry import RUN_TAG
from training.report import TrainingReport
from training.steward import GATE, TRAINING, Steward
from training.train import Progress, train

LOCK_FILE = "training.lock"


@dataclass(frozen=True)
class Assignment:
    """What is asked for: by whom and why, in event time; `run` is a name that the registered version is found by."""

    now: datetime
    plan: Plan = MANUAL
    as_ofs: tuple[date, ...] = ()
    who: str = TRAINING
    reason: str = "trained"
    run: str = ""
    promote: bool = True


@dataclass(frozen=True)
class Conclusion:
    """What a training came to; `champion` is None when the version does not serve."""

    report: TrainingReport
    champion: Champion | None

    @property
    def promoted(self) -> bool:
        """Tell whether the new version serves."""
        return self.champion is not None


@dataclass(frozen=True)
class Session:
    """Where trainings take place: the archive, the registry's steward, and the folder that the lock lies in."""

    archive_dir: Path
    models_dir: Path
    declaration: Declaration
    steward: Steward
    truth_dir: Path | None = None
    user_ttl_days: int = 0
    cache_dir: Path | None = None

    def run(
        self,
        asked: Assignment,
        progress: Progress = lambda _: None,
        tell: Callable[[TrainingReport], None] = lambda _: None,
    ) -> Conclusion:
        """Train, register, `tell` of it, let the gate's verdict hold: promote what passed.

        Raises:
            OutageError: another training is under way.
            DataError: as `train`.
        """
        with alone(self.models_dir, asked.now):
            report = self._trained(asked, progress)
            tell(report)
            champion = self._judged(asked, report)
            publish(self.steward.registry, AuditLog(self.models_dir).history(), report.version)
        return Conclusion(report, champion)

    def _trained(self, asked: Assignment, progress: Progress) -> TrainingReport:
        return train(
            archive_dir=self.archive_dir,
            registry=self.steward.registry,
            declaration=self.declaration,
            now=asked.now,
            plan=asked.plan,
            as_ofs=asked.as_ofs or None,
            truth_dir=self.truth_dir,
            user_ttl_days=self.user_ttl_days,
            cache_dir=self.cache_dir,
            tags={RUN_TAG: asked.run} if asked.run else {},
            progress=progress,
        )

    def _judged(self, asked: Assignment, report: TrainingReport) -> Champion | None:
        evidence = evidence_of(report) | ({"run": asked.run} if asked.run else {})
        free = self.steward.judged(report.version, report.verdict, evidence, asked.now, asked.who, asked.reason)
        if not (free and asked.promote):
            return None
        return self.steward.promote(report.version, GATE, "passed the gate after training", asked.now)


def evidence_of(report: TrainingReport) -> dict[str, Any]:
    """Return what the audit log keeps of a training."""
    found = report.evaluation
    return {
        "archive_from": report.archive_from,
        "archive_until": report.archive_until,
        "events": report.events,
        "feature_set_version": report.feature_set_version,
        "train_rows": report.train_rows,
        "train_until": report.train_as_ofs[-1],
        "reserved_share": report.reserved_share,
        "candidate": report.chosen,
        "holdout_rows": found.rows,
        "auc": round(found.auc, 6),
        "log_loss": round(found.log_loss, 6),
        "ece": round(found.ece, 6),
    }


@contextmanager
def alone(models_dir: Path, now: datetime) -> Iterator[None]:
    """Hold the lock of all trainings of a models folder; it goes with the process, however that ends.

    Raises:
        OutageError: another training holds it; says since when and which process.
        InputError: the lock's file cannot be opened.
    """
    path = models_dir / LOCK_FILE
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(
            f"{path}: the lock of trainings cannot be opened ({error.strerror}); nothing was done"
        ) from error
    try:
        _take(descriptor, now)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, now: datetime) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise OutageError(
            f"another training is under way ({holder or 'it has just begun'}); wait for its end and run the command again"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"as of {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC, pid {os.getpid()}".encode(), 0)
