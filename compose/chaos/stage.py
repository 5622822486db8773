"""The system under faults: a stack whose workers are wanted, and started again whenever they end, as Kubernetes would."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import psutil

from churn.declaration import Declaration
from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.model import GoldenRow, LogisticModel, Scorer
from churn.scores import Champion
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES, MODELS, Topic
from compose.environment import read_settings
from compose.local import LocalStack
from compose.nursery import NurserySupervisor
from compose.processes import Child, wait_until
from compose.topic_admin import ensure_topics
from compose.waiting import Lag
from feature_repo.bundles import save
from feature_repo.declared import load
from training.announce import announce

DECLARATION = "feature_repo/declarations/elearning.yaml"
FAST = {
    "CHURN_DECLARATION": DECLARATION,
    "CHURN_ARCHIVE_FLUSH_SECONDS": "1",
    "CHURN_CHECKPOINT_INTERVAL_MS": "300",
    "CHURN_SESSION_TIMEOUT_SECONDS": "6",
}
READS: dict[str, Topic] = {"features": ACTIVITY, "archive": ACTIVITY, "scorer": FEATURES}
"""What each worker reads."""
RECOVERY_SECONDS = 180.0
RESTART_PAUSE_SECONDS = 0.5
MODEL_VERSION = "1"


@dataclass
class Stage:
    """A stack and the workers that are wanted on it, by instance name."""

    stack: LocalStack
    settings: Settings
    declaration: Declaration
    scorer: Scorer
    wanted: set[str] = field(default_factory=set)
    unasked: Counter[str] = field(default_factory=Counter)
    """How often each worker ended by itself."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def child(self, instance: str) -> Child:
        """Return the present process of a worker."""
        return self.stack.supervisor.children[instance]

    def ensure(self, instance: str, wait: bool = True) -> None:
        """Have a worker running and ready, however often it must be started for that."""
        self.wanted.add(instance)
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                if not self._is_running(instance):
                    self.stack.start_service(role_of(instance), instance, wait=False)
                if wait:
                    self.stack.wait_ready(instance, timeout_seconds=max(1.0, deadline - time.monotonic()))
            except OutageError:
                if time.monotonic() > deadline:
                    raise
                self.note_end(instance)
                time.sleep(RESTART_PAUSE_SECONDS)  # what started and ended at once would spin
            else:
                return

    def _is_running(self, instance: str) -> bool:
        child = self.stack.supervisor.children.get(instance)
        return child is not None and child.is_running

    def note_end(self, instance: str) -> None:
        """Count a worker that ended although nobody asked it to."""
        child = self.stack.supervisor.children.get(instance)
        if child is not None and not child.is_running and not child.stop_asked:
            child.stop_asked = True  # counted once
            with self._lock:
                self.unasked[role_of(instance)] += 1

    def ensure_all(self, wait: bool = True) -> None:
        """Have every wanted worker running."""
        for instance in sorted(self.wanted):
            self.note_end(instance)
            self.ensure(instance, wait)

    def dismiss(self, instance: str, kill: bool = False) -> None:
        """Stop a worker for good."""
        self.wanted.discard(instance)
        (self.child(instance).kill if kill else self.child(instance).stop)()

    def caught_up(self, role: str, timeout_seconds: float = RECOVERY_SECONDS) -> None:
        """Wait until a worker has dealt with what is on its topic now; start its processes again if they end meanwhile."""
        lag = Lag(self.settings, role, READS[role])
        try:
            end = lag.ends()

            def reached() -> bool:
                for instance in [name for name in self.wanted if role_of(name) == role]:
                    self.note_end(instance)
                    self.ensure(instance, wait=False)
                return lag.done() >= end

            wait_until(reached, timeout_seconds, f"{role} has dealt with {end:,} records")
        finally:
            lag.close()

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each running worker has used."""
        found = {}
        for name in self.wanted:
            try:
                times = psutil.Process(self.child(name).pid).cpu_times()
            except psutil.Error:
                continue
            found[name] = times.user + times.system
        return found


def role_of(instance: str) -> str:
    """Return the role of an instance.

    >>> role_of("features-2")
    'features'
    """
    return instance.split("-", maxsplit=1)[0]


@contextmanager
def staged(folder: Path, **variables: str) -> Iterator[Stage]:
    """Start Kafka and Redis in a folder and announce a model; workers are started by whoever wants them."""
    with LocalStack(folder, FAST | variables, supervisor=NurserySupervisor()) as stack:
        names = {k: v for k, v in stack.environment().items() if k.startswith("CHURN_")}
        settings = read_settings(names)
        ensure_topics(settings)
        declaration = load(settings.declaration)
        yield Stage(stack, settings, declaration, promote(settings, declaration))


def promote(settings: Settings, declaration: Declaration) -> Scorer:
    """Write and announce a model that every feature changes; returns its scorer."""
    model = model_of(declaration)
    bundle, digest = save(settings.models_dir, model, MODEL_VERSION)
    version = declaration.feature_set_version
    at = datetime(2025, 1, 1, tzinfo=UTC)
    record = Champion(settings.model_name, MODEL_VERSION, bundle, digest, version, at, "chaos")
    announce(client_config(settings), MODELS.name(settings.topic_prefix), record)
    return Scorer(model, MODEL_VERSION)


def model_of(declaration: Declaration) -> LogisticModel:
    """Return a model whose weights alternate, verified by one golden row of zeros."""
    names = list(declaration.feature_names)
    count = len(names)
    weights = [(-1.0) ** n / (n + 1) for n in range(count)]
    flat, missing = [0.0] * count, [0.1] * count
    version = declaration.feature_set_version
    model = LogisticModel("churn", version, names, flat, [1.0] * count, weights, missing, flat, -1.0, [], {})
    zeros = np.zeros((1, count), np.float32)
    golden = GoldenRow(zeros[0].tolist(), float(Scorer(model, "0").score(zeros).probability[0]))
    return msgspec.structs.replace(model, golden=[golden])
