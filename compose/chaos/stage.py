"""The system under faults: a stack whose workers are wanted, and started again whenever they end, as Kubernetes would."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import psutil
from confluent_kafka import KafkaException

from churn.declaration import Declaration
from churn.kafka_config import client_config
from churn.model import GoldenRow, LogisticModel, Scorer
from churn.scores import Champion
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES, MODELS, Topic
from compose.environment import read_settings
from compose.local import LocalStack, PortTakenError, answers_ok
from compose.nursery import NurserySupervisor
from compose.processes import Child, StartTimeoutError, wait_until
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
RECONNECT_SECONDS = 20.0
RESTART_PAUSE_SECONDS = 0.5
MODEL_VERSION = "1"


@dataclass
class Stage:
    """A stack and the workers that are wanted on it, by instance name."""

    stack: LocalStack
    settings: Settings
    declaration: Declaration
    scorer: Scorer
    variables: Mapping[str, str] = field(default_factory=dict)
    """CHURN_* variables of this stage's workers, where several stages share a stack."""
    wanted: set[str] = field(default_factory=set)
    unasked: Counter[str] = field(default_factory=Counter)
    """How often each worker ended by itself."""
    in_charge: dict[str, threading.RLock] = field(default_factory=lambda: {role: threading.RLock() for role in READS})
    """Who hurts a role holds its lock: nobody else starts its workers meanwhile."""
    _started: dict[str, float] = field(default_factory=dict)

    def child(self, instance: str) -> Child:
        """Return the present process of a worker."""
        return self.stack.supervisor.children[instance]

    def ensure(self, instance: str, wait: bool = True) -> None:
        """Have a worker running and ready, however often it must be started for that."""
        self.wanted.add(instance)
        self._start(instance)
        if wait:
            wait_until(lambda: self._answers(instance), RECOVERY_SECONDS, f"{instance} is ready")

    def _answers(self, instance: str) -> bool:
        self._start(instance)
        return instance in self.stack.ports and answers_ok(self.stack.url(instance) + "/ready")

    def _start(self, instance: str) -> None:
        """Start a worker that does not run, unless somebody else is in charge of it."""
        lock = self.in_charge[role_of(instance)]
        if not lock.acquire(blocking=False):
            return
        try:
            self._note_end(instance)
            rested = time.monotonic() - self._started.get(instance, 0.0) > RESTART_PAUSE_SECONDS
            if instance in self.wanted and not self._is_running(instance) and rested:
                self._started[instance] = time.monotonic()
                self._begin(instance, self.variables)
        finally:
            lock.release()

    def _begin(self, instance: str, variables: Mapping[str, str]) -> Child:
        try:
            return self.stack.start_service(role_of(instance), instance, variables, wait=False)
        except PortTakenError:  # while nobody listened somebody else's connection got the port
            del self.stack.ports[instance]
            return self.stack.start_service(role_of(instance), instance, variables, wait=False)

    def arm(self, instance: str, spec: str) -> Child:
        """Start a worker that a fault point will kill, in the place of the present one."""
        return self._begin(instance, {**self.variables, "CHURN_FAULT_POINT": spec})

    def _is_running(self, instance: str) -> bool:
        child = self.stack.supervisor.children.get(instance)
        return child is not None and child.is_running

    def _note_end(self, instance: str) -> None:
        """Count a worker that ended although nobody asked it to."""
        child = self.stack.supervisor.children.get(instance)
        if child is not None and not child.is_running and not child.stop_asked:
            child.stop_asked = True  # counted once
            self.unasked[role_of(instance)] += 1

    def ensure_all(self, wait: bool = True) -> None:
        """Have every wanted worker running."""
        for instance in sorted(self.wanted):
            self.ensure(instance, wait)

    def dismiss(self, instance: str, kill: bool = False) -> None:
        """Stop a worker for good."""
        self.wanted.discard(instance)
        (self.child(instance).kill if kill else self.child(instance).stop)()

    def caught_up(self, role: str, timeout_seconds: float = RECOVERY_SECONDS) -> None:
        """Wait until a worker has dealt with what is on its topic now; start its processes again if they end meanwhile."""
        progress = Progress(lambda: Lag(self.settings, role, READS[role]))

        def reached() -> bool:
            for instance in [name for name in self.wanted if role_of(name) == role]:
                self._start(instance)
            return progress.reached()

        try:
            wait_until(reached, timeout_seconds, f"{role} has dealt with all records")
        except StartTimeoutError as error:
            raise StartTimeoutError(f"{error} ({progress.seen})") from None
        finally:
            progress.close()

    def story(self, role: str) -> str:
        """Say how the processes of a role are, with the ends of their logs."""
        children = [self.child(name) for name in sorted(self.wanted) if role_of(name) == role]
        return "\n".join(f"{each.spec.name} {each.status()}:\n{each.log_tail()}" for each in children)

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


@dataclass
class Progress:
    """How far a worker has come towards where its topic ended at first; Kafka may be away meanwhile."""

    connect: Callable[[], Lag]
    seen: str = "Kafka has not answered"
    _lag: Lag | None = None
    _end: int | None = None
    _connected: float = 0.0

    def reached(self) -> bool:
        """Ask once; while Kafka is down, or right after, there may be no answer."""
        if self._lag is None:
            self._lag, self._connected = self.connect(), time.monotonic()
        try:
            if self._end is None:
                self._end = self._lag.ends()
            done = self._lag.done()
        except KafkaException as error:
            self.seen = f"{self.seen}; then: {error}" if "then:" not in self.seen else self.seen
            # A client that met a broker in trouble may go on failing when the broker is well again (seen once, for 180 s).
            if time.monotonic() - self._connected > RECONNECT_SECONDS:
                self.close()
            return False
        self.seen = f"{done:,} of {self._end:,}"
        return done >= self._end

    def close(self) -> None:
        """Let go of the connection."""
        lag, self._lag = self._lag, None
        if lag is not None:
            lag.close()


def role_of(instance: str) -> str:
    """Return the role of an instance.

    >>> role_of("features-2")
    'features'
    """
    return instance.split("-", maxsplit=1)[0]


@contextmanager
def staged(folder: Path, **variables: str) -> Iterator[Stage]:
    """Start Kafka and Redis in a folder and announce a model; workers are started by whoever wants them."""
    with LocalStack(folder, FAST | variables, supervisor=NurserySupervisor(shared=True)) as stack:
        yield stage_on(stack, {})


def stage_on(stack: LocalStack, variables: Mapping[str, str]) -> Stage:
    """Return a stage on a running Kafka and Redis: topics, a folder for the archive, an announced model."""
    names = {k: v for k, v in stack.environment().items() if k.startswith("CHURN_")}
    settings = read_settings({**names, **variables})
    ensure_topics(settings)
    # A link can be turned to something else in one step: so the archive's folder goes away.
    real = settings.archive_dir.with_name("archive.real")
    real.mkdir(parents=True)
    settings.archive_dir.symlink_to(real.name)
    declaration = load(settings.declaration)
    return Stage(stack, settings, declaration, promote(settings, declaration), variables)


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
