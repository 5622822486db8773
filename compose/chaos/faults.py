"""The kinds of faults, each as a function that strikes, holds and mends."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import redis

from churn.fault_points import POINTS
from compose.chaos.stage import Stage
from compose.chaos.traffic import Traffic
from compose.kafka import KafkaServer
from compose.processes import StartTimeoutError, wait_until
from compose.redis_server import RedisServer

ROLES = ("features", "scorer", "archive")
BEYOND_SESSION_SECONDS = 8.0
"""Workers of a campaign are given up after 6 s of silence."""
POINT_SECONDS = 45.0
BURST = 300

Strike = Callable[["Scene", random.Random], None]


@dataclass
class Scene:
    """What faults act on."""

    stage: Stage
    traffic: Traffic
    unreached: list[str] = field(default_factory=list)
    """Fault points that were armed and not passed in time."""
    hindered: list[str] = field(default_factory=list)
    """Faults that could not run their whole course, and what was in the way."""


@dataclass(frozen=True)
class Kind:
    """A fault: its name, the track it runs on (faults of one track never overlap), and who must recover from it."""

    name: str
    track: str
    strike: Strike
    hurts: tuple[str, ...]


def kill(role: str) -> Strike:
    """End a worker at once."""

    def strike(scene: Scene, _: random.Random) -> None:
        scene.stage.child(role).kill()

    return strike


def kill_at_point(role: str) -> Strike:
    """End a worker exactly between two effects."""
    points = sorted(name for name in POINTS if name.startswith(f"{role}."))

    def strike(scene: Scene, chance: random.Random) -> None:
        spec = f"{chance.choice(points)}:{chance.randrange(1, 8)}"
        scene.stage.child(role).kill()
        child = scene.stage.arm(role, spec)
        try:
            wait_until(lambda: not child.is_running, POINT_SECONDS, spec)
        except StartTimeoutError:
            scene.unreached.append(spec)
        child.kill()

    return strike


def restart(role: str) -> Strike:
    """Stop a worker in good order."""

    def strike(scene: Scene, _: random.Random) -> None:
        scene.stage.child(role).stop()

    return strike


def freeze(role: str) -> Strike:
    """Stop a worker for a moment, less than its session."""

    def strike(scene: Scene, chance: random.Random) -> None:
        child = scene.stage.child(role)
        child.freeze()
        time.sleep(chance.uniform(0.5, 3.0))  # how long it is away
        child.thaw()

    return strike


def freeze_past_session(role: str) -> Strike:
    """Freeze a worker until another has its partitions, and wake it."""

    def strike(scene: Scene, _: random.Random) -> None:
        second = f"{role}-2"
        scene.stage.ensure(second)
        child = scene.stage.child(role)
        child.freeze()
        time.sleep(BEYOND_SESSION_SECONDS)  # how long it is away
        child.thaw()
        time.sleep(1.0)  # both believe that they own the partitions
        scene.stage.dismiss(second)

    return strike


def join_and_leave(role: str, dies: bool) -> Strike:
    """Have a second worker come and go, or come and die."""

    def strike(scene: Scene, chance: random.Random) -> None:
        second = f"{role}-2"
        scene.stage.ensure(second)
        time.sleep(chance.uniform(0.0, 1.5))  # how long it stays
        scene.stage.dismiss(second, kill=dies)

    return strike


def archive_away(scene: Scene, chance: random.Random) -> None:
    """Turn the archive's folder into a file: nothing can be written, as on a disk that is full or gone."""
    folder = scene.stage.settings.archive_dir
    real = folder.readlink()
    nothing = folder.with_name("archive.nothing")
    nothing.touch()
    turn(folder, Path(nothing.name))
    time.sleep(chance.uniform(1.0, 4.0))  # how long it is away
    turn(folder, real)


def turn(link: Path, target: Path) -> None:
    """Point a link elsewhere in one step."""
    fresh = link.with_name(f"{link.name}.fresh")
    fresh.symlink_to(target)
    fresh.replace(link)


def killed(server: Callable[[Scene], KafkaServer | RedisServer]) -> Strike:
    """End a server at once and start it on what it had written: Kafka on its log, Redis on nothing."""

    def strike(scene: Scene, chance: random.Random) -> None:
        server(scene).kill()
        time.sleep(chance.uniform(0.0, 2.0))  # how long it is away
        server(scene).start()

    return strike


def frozen(server: Callable[[Scene], KafkaServer | RedisServer], most_seconds: float) -> Strike:
    """Stop a server for a moment; connections stay open."""

    def strike(scene: Scene, chance: random.Random) -> None:
        server(scene).freeze()
        time.sleep(chance.uniform(1.0, most_seconds))  # how long it is away
        server(scene).thaw()

    return strike


def kafka_of(scene: Scene) -> KafkaServer:
    return scene.stage.stack.kafka


def redis_of(scene: Scene) -> RedisServer:
    return scene.stage.stack.redis


def kafka_restarted(scene: Scene, _: random.Random) -> None:
    """Stop the broker in good order and start it."""
    kafka_of(scene).stop()
    kafka_of(scene).start()


def redis_emptied(scene: Scene, _: random.Random) -> None:
    """Delete everything in Redis."""
    with redis.Redis.from_url(scene.stage.stack.redis.url, socket_timeout=30) as client:
        client.flushall()


def burst(kind: str) -> Strike:
    """Send many records of one kind at once."""

    def strike(scene: Scene, _: random.Random) -> None:
        scene.traffic.burst(kind, BURST)

    return strike


def _of_role(role: str) -> tuple[Kind, ...]:
    return (
        Kind(f"{role} killed", role, kill(role), (role,)),
        Kind(f"{role} killed at a point", role, kill_at_point(role), (role,)),
        Kind(f"{role} restarted", role, restart(role), (role,)),
        Kind(f"{role} frozen", role, freeze(role), (role,)),
        Kind(f"{role} frozen past its session", role, freeze_past_session(role), (role,)),
        Kind(f"{role} joins and leaves", role, join_and_leave(role, dies=False), (role,)),
        Kind(f"{role} joins and dies", role, join_and_leave(role, dies=True), (role,)),
    )


KINDS: tuple[Kind, ...] = (
    *(kind for role in ROLES for kind in _of_role(role)),
    Kind("archive folder away", "archive", archive_away, ("archive",)),
    Kind("Kafka killed", "servers", killed(kafka_of), ROLES),
    Kind("Kafka restarted", "servers", kafka_restarted, ROLES),
    Kind("Kafka frozen", "servers", frozen(kafka_of, 5.0), ROLES),
    Kind("Redis killed", "servers", killed(redis_of), ("features", "scorer")),
    Kind("Redis frozen", "servers", frozen(redis_of, 4.0), ("features", "scorer")),
    Kind("Redis emptied", "servers", redis_emptied, ("features", "scorer")),
    Kind("burst of duplicates", "servers", burst("duplicates"), ("features",)),
    Kind("burst of disorder", "servers", burst("disorder"), ("features",)),
    Kind("burst of rubbish", "servers", burst("rubbish"), ("features",)),
)
