"""The whole stack on this machine without Docker: real Kafka, real Redis, and every service as a process of its own.

`SERVICES` declares the services as data; the containers and the local stack are held to the same declaration.
"""

import contextlib
import itertools
import os
import random
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from churn.errors import InputError, OutageError
from compose.kafka import KafkaServer
from compose.processes import Child, ChildSpec, Supervisor
from compose.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
# Importing the libraries takes about 6 s on a slow core; a state of a million users is restored in 11 s.
READY_SECONDS = 120.0
# Below the ports that Linux (32768) and macOS (49152) give to outgoing connections: a client that keeps trying to
# reach a restarting server could otherwise be given the server's own port, and talk to itself.
SERVER_PORTS = range(20_000, 32_000)
COMMAND_SECONDS = 600.0


@dataclass(frozen=True)
class Service:
    """One process of the system: what follows `python -m compose`, the setting of its port, the path of its health."""

    name: str
    command: tuple[str, ...]
    port_variable: str
    default_port: int
    health_path: str = "/ready"


SERVICES = (
    Service("features", ("worker", "features"), "CHURN_METRICS_PORT", 9101),
    Service("scorer", ("worker", "scorer"), "CHURN_METRICS_PORT", 9102),
    Service("archive", ("worker", "archive"), "CHURN_METRICS_PORT", 9103),
    Service("learner", ("worker", "learner"), "CHURN_METRICS_PORT", 9104),
    Service("audit", ("worker", "audit"), "CHURN_METRICS_PORT", 9105),
    Service("keeper", ("worker", "keeper"), "CHURN_METRICS_PORT", 9106),
    Service("api", ("api",), "CHURN_API_PORT", 8000),
)


def service(name: str) -> Service:
    """Return the declaration of a service; raise ValueError for a name that nobody declared."""
    for each in SERVICES:
        if each.name == name:
            return each
    raise ValueError(f"no service is called {name!r}; there are {', '.join(each.name for each in SERVICES)}")


def free_ports(count: int) -> list[int]:
    """Return different TCP ports of 127.0.0.1 that nobody is listening on."""
    with contextlib.ExitStack() as held:  # all are held at once, or two could be the same
        sockets = (bound_socket(port) for port in random.SystemRandom().sample(SERVER_PORTS, len(SERVER_PORTS)))
        found = list(itertools.islice((held.enter_context(each) for each in sockets if each), count))
        return [each.getsockname()[1] for each in found]


def bound_socket(port: int) -> socket.socket | None:
    """Return a socket that holds the port, or None if somebody else does."""
    candidate = socket.socket()
    # Connections of a killed predecessor linger for a minute; they do not hold the port, a listener does.
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((LOOPBACK, port))
    except OSError:
        candidate.close()
        return None
    return candidate


def answers_ok(url: str) -> bool:
    """Return whether a GET of the address is answered with status 200 within two seconds."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  our own http url
        return bool(answer.status == 200)
    return False


class PortTakenError(InputError):
    """A port that was asked for belongs to another program, whose answers would be taken for the service's."""


@dataclass
class LocalStack:
    """Kafka, Redis and the services that were asked for, all with data and logs in `folder`.

    `settings` are CHURN_* variables for every service; ports and addresses that they do not name are chosen here.
    Use it as a context manager: leaving the block stops everything, and nothing survives this process in any case.
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    persistent_redis: bool = False
    supervisor: Supervisor = field(default_factory=Supervisor)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kafka_port, controller_port, redis_port = free_ports(3)
        self.kafka = KafkaServer(self.folder / "kafka", kafka_port, controller_port)
        self.redis = RedisServer(self.folder / "redis", redis_port, persistent=self.persistent_redis)

    def start(self) -> None:
        """Start Kafka and Redis; return once both answer."""
        self.kafka.start()
        self.redis.start()

    def stop(self) -> None:
        """Stop the services, the last started first, then Redis and Kafka."""
        self.supervisor.stop_all()
        for server in (self.redis, self.kafka):
            if server.child is not None:
                server.stop()

    def check(self) -> None:
        """Raise ChildDiedError, with the end of its log, for a part that ended unasked."""
        for child in self._children():
            child.check()

    def status(self) -> dict[str, str]:
        """Say for each part how it is."""
        return {child.spec.name: child.status() for child in self._children()}

    def _children(self) -> list[Child]:
        servers = (self.kafka.child, self.redis.child)
        return [*(child for child in servers if child is not None), *self.supervisor.children.values()]

    def environment(self) -> dict[str, str]:
        """Return what every process of the stack gets: this environment, its CHURN_* variables replaced by ours."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHURN_")}
        path = os.pathsep.join(filter(None, (str(ROOT), inherited.get("PYTHONPATH"))))
        own = {
            "CHURN_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "CHURN_REDIS_URL": self.redis.url,
            "CHURN_DATA_DIR": str(self.folder / "data"),
        }
        return {**inherited, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **own, **self.settings}

    def start_service(
        self, name: str, instance: str | None = None, extra: Mapping[str, str] | None = None, wait: bool = True
    ) -> Child:
        """Start a declared service and return once it is ready; `instance` names a second one of the same service."""
        declared, instance = service(name), instance or name
        env = {**self.environment(), **(extra or {})}
        port = self.ports.setdefault(instance, int(env.get(declared.port_variable, 0)) or free_ports(1)[0])
        if (taken := bound_socket(port)) is None:
            raise PortTakenError(
                f"{instance}: port {port} of {LOOPBACK} is in use; set {declared.port_variable} to another"
            )
        taken.close()
        env[declared.port_variable] = str(port)
        argv = (sys.executable, "-m", "compose", *declared.command)
        child = self.supervisor.start(ChildSpec(instance, argv, self.log_path(instance), env, cwd=ROOT))
        if wait:
            self.wait_ready(instance, declared.health_path)
        return child

    def wait_ready(self, instance: str, path: str = "/ready", timeout_seconds: float = READY_SECONDS) -> None:
        """Return once the service's health address answers 200; raise with the end of its log if it dies or is late."""
        child = self.supervisor.children[instance]
        child.wait_ready(lambda: answers_ok(self.url(instance) + path), timeout_seconds)

    def url(self, instance: str) -> str:
        """Return the base address of a started service."""
        return f"http://{LOOPBACK}:{self.ports[instance]}"

    def log_path(self, instance: str) -> Path:
        """Return the file that takes the output of a service."""
        return self.folder / "logs" / f"{instance}.log"

    def run(self, *command: str, timeout_seconds: float = COMMAND_SECONDS) -> str:
        """Run one command of the program against the stack; return its output, raise OutageError with it if it fails."""
        argv = [sys.executable, "-m", "compose", *command]
        result = subprocess.run(  # noqa: S603  our own program
            argv, env=self.environment(), cwd=ROOT, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
        if result.returncode != 0:
            raise OutageError(
                f"`churn {' '.join(command)}` ended with code {result.returncode}:\n{result.stdout}{result.stderr}"
            )
        return result.stdout

    def __enter__(self) -> Self:
        self.supervisor.__enter__()
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.supervisor.__exit__(kind, error, trace)
