"""A learner is killed at each point between two effects: each label's outcome is there once, and says the same."""

import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.blocks import OutcomeBlock, encode
from churn.fault_points import POINTS
from churn.layout import DAY_US
from churn.settings import Settings
from compose.local import ROOT, free_ports
from compose.nursery import NurserySupervisor
from compose.processes import Child, ChildSpec, wait_until
from feature_repo.instruments import Instruments
from tests.training.at_work import at_work
from tests.training.labelled import BUSINESS, DECLARED, outcomes, population, publish, wait_for
from training.learner import Learner
from training.loop.outcomes import ONLINE
from training.snapshots import latest

LEARNER_POINTS = [name for name in POINTS if name.startswith("learner.")]
FIRST_DAY, DAYS_A_KILL = 100, 8
ALL_DAYS = range(FIRST_DAY, FIRST_DAY + DAYS_A_KILL * len(LEARNER_POINTS))
Found = dict[tuple[int, int], list[OutcomeBlock]]
"""By place of the labels: every block that tells of them."""


@pytest.fixture
def supervisor() -> Iterator[NurserySupervisor]:
    with NurserySupervisor(shared=True) as found:
        yield found


def started(supervisor: NurserySupervisor, settings: Settings, point: str) -> Child:
    """Start a learner that dies at a point."""
    declaration = Path(settings.data_dir) / "business.yaml"
    declaration.write_text(BUSINESS)
    environment = {
        "PATH": os.environ["PATH"],
        "CHURN_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "CHURN_TOPIC_PREFIX": settings.topic_prefix,
        "CHURN_PARTITIONS": "1",
        "CHURN_DATA_DIR": str(settings.data_dir),
        "CHURN_DECLARATION": str(declaration),
        "CHURN_METRICS_PORT": str(free_ports(1)[0]),
        "CHURN_FAULT_POINT": point,
    }
    argv = (sys.executable, "-m", "compose", "worker", "learner")
    return supervisor.start(ChildSpec(point, argv, Path(settings.data_dir) / f"{point}.log", environment, cwd=ROOT))


def found(settings: Settings) -> Found:
    blocks: Found = defaultdict(list)
    for block in outcomes(settings):
        blocks[block.partition, block.label_offset].append(block)
    return blocks


def test_every_label_has_one_outcome_whenever_the_learner_is_killed(
    supervisor: NurserySupervisor, one_partition: Settings, tmp_path: Path
) -> None:
    for number, point in enumerate(LEARNER_POINTS):
        first = FIRST_DAY + DAYS_A_KILL * number
        publish(one_partition, range(first, first + DAYS_A_KILL))
        child = started(supervisor, one_partition, point)
        wait_until(lambda child=child: not child.is_running, 60, f"death at {point}")  # type: ignore[misc]  # it has a type
        assert child.code == -signal.SIGKILL
    finish(one_partition)
    killed = found(one_partition)
    told = [(user, block[0].as_of_us) for block in killed.values() for user in block[0].users]
    assert len(told) == len(set(told)) == population(ALL_DAYS)
    assert max(map(len, killed.values())) > 1, "no block was repeated, so the kills came too late to matter"
    # One that was never killed says the same, word for word.
    finish(one_partition.model_copy(update={"data_dir": tmp_path / "fresh"}))
    assert all(len({encode(block) for block in blocks}) == 1 for blocks in found(one_partition).values())
    assert {tuple(b.versions) for (b, *_) in killed.values() if b.as_of_us >= (FIRST_DAY + 30) * DAY_US} == {(ONLINE,)}


def finish(settings: Settings) -> None:
    """Have a learner learn what is left, and save it."""
    with at_work(Learner(settings, DECLARED, Instruments("learner"))) as learner:
        wait_for(lambda: learner.model.rows == population(ALL_DAYS))
    saved = latest(settings.models_dir / "online")
    assert saved is not None
    assert saved[1].model == learner.model.state()
