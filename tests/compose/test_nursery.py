"""Services that are forked from a process that stands ready are processes of their own, as started ones are."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from compose.local import ROOT
from compose.nursery import NurseryGoneError, NurserySupervisor
from compose.processes import ChildDiedError, ChildSpec, wait_until


@pytest.fixture(scope="module")
def supervisor() -> Iterator[NurserySupervisor]:
    with NurserySupervisor(shared=True) as found:
        yield found


def spec(name: str, log: Path, *command: str, **variables: str) -> ChildSpec:
    own = {k: v for k, v in os.environ.items() if not k.startswith("CHURN_")}
    return ChildSpec(name, (sys.executable, "-m", "compose", *command), log, {**own, **variables}, ROOT)


def test_a_forked_command_runs_with_its_environment_and_log(supervisor: NurserySupervisor, tmp_path: Path) -> None:
    child = supervisor.start(spec("one", tmp_path / "one.log", "topics", CHURN_PARTITIONSS="3"))
    wait_until(lambda: not child.is_running, 60, "the command ends")
    assert (tmp_path / "one.log").read_text().startswith("churn: CHURN_PARTITIONSS is not a setting")
    with pytest.raises(ChildDiedError, match="one exited with code 2"):
        child.check()


def test_a_shared_nursery_outlives_its_supervisors(supervisor: NurserySupervisor, tmp_path: Path) -> None:
    first = supervisor.start(spec("first", tmp_path / "1.log", "topics", CHURN_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9"))
    with NurserySupervisor(shared=True) as passing:
        child = passing.start(spec("a", tmp_path / "a.log", "topics", CHURN_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9"))
        assert psutil.Process(child.pid).ppid() == psutil.Process(first.pid).ppid()
    assert not child.is_running
    assert first.is_running


def test_a_forked_process_leads_a_session_and_can_be_killed(supervisor: NurserySupervisor, tmp_path: Path) -> None:
    # Nobody listens on port 9: the command asks for Kafka until it is killed.
    child = supervisor.start(spec("two", tmp_path / "two.log", "topics", CHURN_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9"))
    assert os.getsid(child.pid) == child.pid
    child.kill()
    assert child.status() == "killed by SIGKILL"


def test_a_forked_process_keeps_its_id_until_it_is_killed(supervisor: NurserySupervisor, tmp_path: Path) -> None:
    child = supervisor.start(spec("three", tmp_path / "three.log", "topics", CHURN_PARTITIONSS="3"))
    wait_until(lambda: not child.is_running, 60, "the command ends")
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    child.kill()
    assert not psutil.pid_exists(child.pid)


def test_an_interrupted_order_costs_the_nursery_and_nobody_else(tmp_path: Path) -> None:
    asks_for_ever = {"CHURN_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    with NurserySupervisor(shared=True) as supervisor:
        child = supervisor.start(spec("four", tmp_path / "4.log", "topics", **asks_for_ever))
        psutil.Process(psutil.Process(child.pid).ppid()).kill()
        with pytest.raises(NurseryGoneError):
            supervisor.start(spec("five", tmp_path / "5.log", "topics", **asks_for_ever))
    wait_until(lambda: not psutil.pid_exists(child.pid), 10, "the child of the former nursery is ended")
    with NurserySupervisor(shared=True) as supervisor:
        assert supervisor.start(spec("six", tmp_path / "6.log", "topics", **asks_for_ever)).is_running
