"""Killed at each point between two effects, under load with duplicates: after a restart everything is exact.

Points of different roles are hit at the same time, in two lanes that share one Kafka and Redis: a killed worker's
partitions are free only when its session has ended, and that wait is most of each round.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import pytest

from churn.fault_points import POINTS
from churn.topics import LABELS
from compose.chaos.campaign import settled
from compose.chaos.load import Load
from compose.chaos.outcome import Outcome, read
from compose.chaos.stage import Stage, role_of, stage_on, staged
from compose.chaos.traffic import Traffic
from compose.processes import Child, wait_until
from training.online import OnlineState
from training.snapshots import Snapshot, latest

pytestmark = pytest.mark.timeout(400)
"""The first test waits for all kills: 60 s on two free cores."""

PASSING = 3
USERS, EVENTS_A_SECOND, SECONDS_AN_EVENT = 100, 200.0, 14_400.0
"""Six events a day: however quickly the deaths come, the load spans the 30 days after which labels are known."""
STREAMED = [name for name in POINTS if not name.startswith(("learner", "daily", "keeper"))]
"""Those of daily scoring have their own: `tests/training/test_batch_kills.py`."""
LEARNER = [name for name in POINTS if name.startswith("learner")]


def of(role: str) -> list[str]:
    return [name for name in POINTS if role_of(name).startswith(role)]


Found = Mapping[str, dict[str, list[str]]]
"""By point: what differed after the restart."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("points"), CHURN_PARTITIONS="2") as found:
        yield found


@pytest.fixture(scope="module")
def killed(stage: Stage) -> Found:
    """Hit every point of the stream's workers."""
    features = of("features")
    second = lane(stage, "second")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rounds, stage, features[::2], of("scorer"), 1)
        return rounds(second, features[1::2], of("archive"), 2) | first.result()


def lane(stage: Stage, name: str) -> Stage:
    """Return a stage of its own on the same Kafka and Redis."""
    data = str(Path(stage.settings.data_dir).with_name(name))
    return stage_on(stage.stack, {"CHURN_TOPIC_PREFIX": name, "CHURN_FEAST_PROJECT": name, "CHURN_DATA_DIR": data})


def rounds(stage: Stage, features: list[str], others: list[str], seed: int) -> dict[str, dict[str, list[str]]]:
    load = Load(seed, USERS, SECONDS_AN_EVENT)
    found: dict[str, dict[str, list[str]]] = {}
    for pair in zip_longest(features, others):
        points = [point for point in pair if point]
        found |= dict.fromkeys(points, hit(stage, load, points))
    return found


def hit(stage: Stage, load: Load, points: list[str]) -> dict[str, list[str]]:
    """Kill each point's worker there, under load; restart them and compare everything."""
    instances = {role_of(point.replace(".", "-")): point for point in points}
    for name in {"features", "scorer", "archive"} - set(instances):
        stage.ensure(name_of(stage, name))
    for name, point in instances.items():
        if name_of(stage, name) in stage.wanted:
            stage.dismiss(name_of(stage, name))
        stage.arm(name_of(stage, name), f"{point}:{PASSING}")
    with Traffic(stage.settings, load, EVENTS_A_SECOND):
        # The features worker first: without its vectors the scorer passes nothing.
        for name in sorted(instances):
            child = stage.child(name_of(stage, name))
            wait_until(ended(child), 60, f"death at {instances[name]}")
            stage.ensure(name_of(stage, name), wait=False)
    for role in ("features", "scorer", "archive"):
        stage.caught_up(role)
    return settled(Outcome(stage.settings, stage.declaration, load.ledger, stage.scorer), stage)


def ended(child: Child) -> Callable[[], bool]:
    return lambda: not child.is_running


def name_of(stage: Stage, role: str) -> str:
    return f"{role}-{stage.settings.topic_prefix}"


@pytest.mark.parametrize("point", STREAMED)
def test_a_worker_killed_at_a_point_leaves_everything_exact(killed: Found, point: str) -> None:
    assert killed[point] == {
        "counters": [], "online vectors": [], "dead letters": [], "archive": [], "scores": [],
    }  # fmt: skip


@pytest.fixture(scope="module")
def learnt(stage: Stage, killed: Found) -> dict[str, OnlineState]:
    """Kill a learner at each of its points and let another go on; by point (and `never`) what it knows in the end."""
    ends = {m.partition(): (m.offset() or 0) + 1 for m in read(LABELS, stage.settings)}
    assert len(ends) == stage.settings.partitions, "the load is too short for labels: they are known after 30 days"
    folders = {point: stage.settings.data_dir.with_name(point) for point in [*LEARNER, "never"]}
    for point, folder in folders.items():
        spec = "" if point == "never" else point
        variables = {"CHURN_DATA_DIR": str(folder), "CHURN_FAULT_POINT": spec}
        stage.stack.start_service("learner", point, variables, wait=False)
    for point in LEARNER:
        child = stage.child(point)
        wait_until(ended(child), 120, f"death at {point}")
        stage.stack.start_service("learner", point, {"CHURN_DATA_DIR": str(folders[point])}, wait=False)
    return {point: state_at(folder / "models" / "online", ends) for point, folder in folders.items()}


def state_at(folder: Path, ends: Mapping[int | None, int]) -> OnlineState:
    """Return what the learner of this folder knows once it has learnt every label up to these offsets."""

    def snapshot() -> Snapshot | None:
        found = latest(folder)
        at = {} if found is None else {p: place.label_offset for p, place in found[1].positions.items()}
        return found[1] if found is not None and at == ends else None

    wait_until(lambda: snapshot() is not None, 60, f"{folder}: every label is learnt")
    last = snapshot()
    assert last is not None
    return last.model


@pytest.mark.parametrize("point", LEARNER)
def test_a_learner_killed_at_a_point_knows_what_one_that_never_was_knows(
    learnt: Mapping[str, OnlineState], point: str
) -> None:
    assert learnt["never"].rows > 500
    assert learnt[point] == learnt["never"]
