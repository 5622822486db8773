"""A seeded campaign: faults on four tracks at once under load, then long outages, then the comparison of everything."""

import contextlib
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from churn.errors import OutageError
from compose.chaos.faults import KINDS, Kind, Scene
from compose.chaos.load import Load
from compose.chaos.outcome import Differences, Outcome
from compose.chaos.pauses import Pause, pauses
from compose.chaos.stage import READS, Stage
from compose.chaos.tracks import StuckError, Track, run_all
from compose.chaos.traffic import Traffic
from compose.processes import StartTimeoutError, wait_until

DAYS_PER_SECOND = 0.4
"""How fast event time goes: a midnight every 2.5 s, so that many faults fall on one."""
MOST_DAYS, SECONDS_A_FAULT = 300, 5.0
"""Events may not be of the future: time goes slower in a long campaign."""
QUIET_SECONDS = 60.0
MAX_OUTAGE_CPU, MAX_OUTAGE_TIMES_USUAL = 0.2, 1.5
"""What a worker may use of a core while Kafka or Redis is away, or how many times what it used just before, where its work
alone is more: it waits, it does not spin. Without Redis features goes on working: at 200 events/s that takes 0.195 of a core,
0.241 with Redis (20 s each, free cores); on crowded ones the same work takes up to half as long again."""
SETTLE_SECONDS = 2.0
"""What was under way when an outage began is not the outage's."""
FIRST_WORKERS = ("features", "scorer", "archive")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much, how long at most, and by which seed."""

    faults: int
    seed: int
    seconds: float
    outage_seconds: float
    rate: float
    users: int


@dataclass(frozen=True)
class Struck:
    """A fault that happened: wall times in seconds since 1970, and how long until everybody hurt had caught up."""

    kind: str
    began: float
    ended: float
    recovery_seconds: float


@dataclass(frozen=True)
class Outage:
    """A server that was away: cores that each worker used just before and meanwhile, and wall times in seconds since 1970."""

    server: str
    seconds: float
    usual: dict[str, float]
    cores: dict[str, float]
    began: float
    ended: float

    @property
    def kind(self) -> str:
        """Return its name among the faults."""
        return f"{self.server} away for {self.seconds:g} s"


@dataclass
class Result:
    """What happened and what differs."""

    faults: list[Struck] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    differences: Differences = field(default_factory=dict)
    unasked: dict[str, int] = field(default_factory=dict)
    unreached: list[str] = field(default_factory=list)
    hindered: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Return the number of differences."""
        return sum(map(len, self.differences.values()))


def chosen(plan: Plan) -> list[Kind]:
    """Return the faults in their order: every kind once before any comes again.

    >>> len(chosen(Plan(faults=70, seed=1, seconds=0, outage_seconds=0, rate=0, users=0)))
    70
    """
    chance, found = random.Random(plan.seed), list[Kind]()  # noqa: S311  a reproducible campaign
    while len(found) < plan.faults:
        found += chance.sample(KINDS, len(KINDS))
    return found[: plan.faults]


def run(stage: Stage, plan: Plan, say: Say) -> Result:
    """Run a campaign on a stage with no workers yet."""
    longest = min(plan.seconds, plan.faults * SECONDS_A_FAULT) + 4 * plan.outage_seconds
    step_days = min(DAYS_PER_SECOND, MOST_DAYS / max(1.0, longest)) / plan.rate
    load = Load(plan.seed, plan.users, step_days * 86_400)
    result = Result()
    for name in FIRST_WORKERS:
        stage.ensure(name, wait=False)
    stage.ensure_all()
    with Traffic(stage.settings, load, plan.rate) as traffic:
        scene = Scene(stage, traffic)
        say("workers are ready; the faults begin")
        _strike_all(scene, plan, result, say)
        stage.ensure_all()
        for server in ("Kafka", "Redis"):
            result.outages.append(_outage(scene, server, plan.outage_seconds, say))
    say("everything is published; waiting for the last record")
    _settle(stage)
    outcome = Outcome(stage.settings, stage.declaration, load.ledger, stage.scorer)
    result.differences = settled(outcome, stage)
    result.pauses = pauses(stage.settings, [*result.faults, *result.outages])
    result.unasked, result.unreached, result.hindered = dict(stage.unasked), scene.unreached, scene.hindered
    ledger = load.ledger
    result.figures = {
        "events": len(ledger.event_ids), "users": len(ledger.users), "duplicates": ledger.duplicates,
        "rubbish": ledger.rubbish, "days": (load.now - load.began).days,
    }  # fmt: skip
    return result


def settled(outcome: Outcome, stage: Stage) -> Differences:
    """Compare until nothing differs, for as long as the last writes may take; returns what is left."""
    found: list[Differences] = [{}]

    def equal() -> bool:
        stage.ensure_all(wait=False)
        found[0] = outcome.differences()
        return not any(found[0].values())

    with contextlib.suppress(StartTimeoutError):
        wait_until(equal, QUIET_SECONDS, "nothing differs")
    return found[0]


def _settle(stage: Stage) -> None:
    for role in READS:
        _recovered(stage, role, "the last record")


def _strike_all(scene: Scene, plan: Plan, result: Result, say: Say) -> None:
    """Strike the chosen faults, those of one track one after another."""
    kinds: dict[str, list[Kind]] = defaultdict(list)
    for kind in chosen(plan):
        kinds[kind.track].append(kind)
    stop, deadline = threading.Event(), time.monotonic() + plan.seconds

    def follow(track: Track) -> None:
        chance = random.Random(f"{plan.seed} {track.name}")  # noqa: S311  a reproducible campaign
        for kind in kinds[track.name]:
            if stop.is_set() or time.monotonic() > deadline:
                return
            struck = _strike(scene, kind, chance, track.note)
            result.faults.append(struck)
            waited = not math.isnan(struck.recovery_seconds)
            outcome = f"recovered in {struck.recovery_seconds:.1f} s" if waited else "not waited for"
            say(f"{len(result.faults)}: {kind.name}, {outcome}")

    run_all([Track(name, follow) for name in kinds], stop, say)


def _strike(scene: Scene, kind: Kind, chance: random.Random, note: Callable[[str], None]) -> Struck:
    began = time.time()
    note(f"{kind.name}: under way")
    try:
        with scene.stage.in_charge.get(kind.track, contextlib.nullcontext()):
            kind.strike(scene, chance)
    except OutageError as error:
        # What a fault needs may be hurt by another track's fault; it counts all the same.
        scene.hindered.append(f"{kind.name}: {str(error).splitlines()[0]}")
    ended = time.time()
    for role in kind.hurts:
        scene.stage.ensure(role, wait=False)
    # Every third time nobody waits: the next fault hits who has not recovered.
    if chance.random() < 1 / 3:
        return Struck(kind.name, began, ended, float("nan"))
    for role in kind.hurts:
        note(f"{kind.name}: waiting for {role}")
        _recovered(scene.stage, role, kind.name)
    return Struck(kind.name, began, ended, time.time() - ended)


def _recovered(stage: Stage, role: str, what: str) -> None:
    """Wait until a worker is ready and has caught up; raises StuckError, with the end of its log, if it is late."""
    try:
        stage.ensure(role)
        stage.caught_up(role)
    except StartTimeoutError as error:
        raise StuckError(f'after "{what}": {error}; {stage.story(role)}') from error


def _outage(scene: Scene, server: str, seconds: float, say: Say) -> Outage:
    """Take a server away and measure who spins; Kafka is killed, Redis as well."""
    stage = scene.stage
    for role in READS:
        _recovered(stage, role, "the last fault")
    target = stage.stack.kafka if server == "Kafka" else stage.stack.redis
    measured = max(0.0, seconds - SETTLE_SECONDS)
    usual, wall = _cores_used(stage, measured), time.time()
    target.kill()
    time.sleep(SETTLE_SECONDS)  # what was under way ends
    cores = _cores_used(stage, measured)  # the length of the outage is the point
    target.start()
    say(f"{server} was away for {seconds:g} s; cores used: {cores}; just before: {usual}")
    for role in READS:
        _recovered(stage, role, f"{server} away for {seconds:g} s")
    return Outage(server, seconds, usual, cores, wall, time.time())


def _cores_used(stage: Stage, seconds: float) -> dict[str, float]:
    """Return how much of a core each worker that stays uses over so many seconds."""
    before, began = stage.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    after, measured = stage.cpu_seconds(), time.monotonic() - began
    return {name: round((after[name] - before[name]) / measured, 3) for name in before if name in after}
