"""The composition root of the workers: the only place that builds their stores, clients and clocks."""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from training.auditor import Auditor
    from training.learner import Learner
    from training.loop.keeper import Keeper

FOLLOWERS = ("learner", "audit", "keeper")
WORKERS = ("features", "scorer", "archive", *FOLLOWERS)


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


def build_follower(name: str, settings: Settings, instruments: Instruments) -> "Learner | Auditor | Keeper":
    """Return a worker that reads topics by itself; imported here, because River and DuckDB take 2 s."""
    if name == "keeper":
        return build_keeper(settings, instruments)
    from training.auditor import Auditor
    from training.learner import Learner

    kind = Learner if name == "learner" else Auditor
    return kind(settings, load(settings.declaration), instruments)


def build_keeper(settings: Settings, instruments: Instruments) -> "Keeper":
    """Return the keeper: it trains by the same command as a person does."""
    from compose.keeper_commands import training_command
    from compose.registry_commands import steward_of
    from compose.trainer import LoadedTrainer
    from training.loop.keeper import Keeper
    from training.loop.runs import begin_process
    from training.plan import retraining

    command = partial(training_command, retraining(settings.retrain_candidates))
    begin = LoadedTrainer() if settings.trainer_loaded else begin_process
    return Keeper(
        settings, load(settings.declaration), instruments, steward_of(settings), command, wall_us, begin=begin
    )


def run(name: str, settings: Settings) -> None:
    """Run a worker until it is told to stop."""
    arm(settings.fault_point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    instruments = Instruments(name)
    if name in FOLLOWERS:
        follower = build_follower(name, settings, instruments)
        _serve(settings, instruments, follower.not_ready, lambda: follower.run(stop_on_signal()))
        return
    role = build_role(name, settings, instruments)
    _serve(settings, instruments, role.not_ready, lambda: run_role(role, settings))


def _serve(
    settings: Settings, instruments: Instruments, not_ready: Callable[[], list[str]], work: Callable[[], None]
) -> None:
    health = HealthServer(settings.metrics_host, settings.metrics_port, instruments, not_ready)
    try:
        work()
    finally:
        health.close()


def stop_on_signal(install: Callable[..., object] | None = None) -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        (install or signal.signal)(number, lambda *_: stop.set())
    return stop
