"""The composition root of the workers: the only place that builds their stores, clients and clocks."""

import os
import signal
import threading
import time
from collections.abc import Callable

import redis

from churn.errors import InputError
from churn.fault_points import arm
from churn.settings import Settings
from feature_repo.declared import load
from feature_repo.instruments import Instruments
from feature_repo.online import OnlineWriter
from stream_processors.app import run as run_role
from stream_processors.archive import ArchiveRole
from stream_processors.features import FeaturesRole
from stream_processors.health import HealthServer
from stream_processors.roles import Role
from stream_processors.scorer import ScorerRole

WORKERS = ("features", "scorer", "archive", "learner", "audit")


def wall_us() -> int:
    """Return the wall clock in microseconds since 1970; the only clock of a worker."""
    return time.time_ns() // 1000


def build_role(name: str, settings: Settings, instruments: Instruments) -> Role:
    """Return the role with everything it needs."""
    declaration = load(settings.declaration)
    if name == "archive":
        return ArchiveRole(settings, declaration, instruments, wall_us)
    client = redis.Redis.from_url(settings.redis_url.get_secret_value())
    writer = OnlineWriter(client, settings.feast_project, declaration.feature_names)
    if name == "features":
        return FeaturesRole(settings, declaration, writer, instruments, wall_us)
    if name == "scorer":
        return ScorerRole(settings, declaration, writer, instruments, wall_us)
    raise InputError(f"no worker is called {name!r}; there are {', '.join(WORKERS)}")


def run(name: str, settings: Settings) -> None:
    """Run a worker until it is told to stop."""
    arm(settings.fault_point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    instruments = Instruments(name)
    if name == "learner":
        _run_learner(settings, instruments)
        return
    if name == "audit":
        _run_audit(settings, instruments)
        return
    role = build_role(name, settings, instruments)
    health = HealthServer(settings.metrics_host, settings.metrics_port, instruments, role.not_ready)
    try:
        run_role(role, settings)
    finally:
        health.close()


def _run_learner(settings: Settings, instruments: Instruments) -> None:
    from training.learner import Learner

    learner = Learner(settings, load(settings.declaration), instruments)
    health = HealthServer(settings.metrics_host, settings.metrics_port, instruments, learner.not_ready)
    try:
        learner.run(stop_on_signal())
    finally:
        health.close()


def _run_audit(settings: Settings, instruments: Instruments) -> None:
    from training.auditor import Auditor

    auditor = Auditor(settings, load(settings.declaration), instruments)
    health = HealthServer(settings.metrics_host, settings.metrics_port, instruments, auditor.not_ready)
    try:
        auditor.run(stop_on_signal())
    finally:
        health.close()


def stop_on_signal(install: Callable[..., object] | None = None) -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        (install or signal.signal)(number, lambda *_: stop.set())
    return stop
