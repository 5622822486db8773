import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from compose.processes import Child, ChildDiedError, ChildSpec, StartTimeoutError, Supervisor, wait_until

ROOT = Path(__file__).resolve().parents[2]
SLEEP = ("sleep", "600")
IGNORES_TERM = ("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done")

# Starts a child through the supervisor, tells its pid and goes on or goes down as its last argument says.
# Whoever runs the tests in the background of a shell ignores SIGINT, and so would every process from there on.
PARENT = """
import signal, sys, time
from pathlib import Path
from compose import processes
from compose.processes import ChildSpec, Supervisor
processes.GRACE_SECONDS = 1.0
signal.signal(signal.SIGINT, signal.default_int_handler)
with Supervisor() as supervisor:
    child = supervisor.start(ChildSpec("child", tuple(sys.argv[3:]), Path(sys.argv[1])))
    print(child.pid, flush=True)
    if sys.argv[2] == "raise":
        raise RuntimeError("on purpose")
    if sys.argv[2] == "return":
        sys.exit(0)
    time.sleep(600)
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as running:
        yield running


def spec(folder: Path, *argv: str, name: str = "part", grace_seconds: float = 10.0) -> ChildSpec:
    return ChildSpec(name, argv, folder / f"{name}.log", grace_seconds=grace_seconds)


def start_parent(folder: Path, ending: str, *child_argv: str) -> tuple["subprocess.Popen[str]", int]:
    """Start a Python process that supervises a child; return it and the child's pid."""
    argv = [sys.executable, "-c", PARENT, str(folder / "child.log"), ending, *child_argv]
    parent = subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    with parent.stdout as output:
        return parent, int(output.readline())


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def has_said(child: Child, text: str) -> bool:
    return child.log_tail() == text


def gone_within(seconds: float, pid: int) -> bool:
    """Return whether the process is gone before the time is over, as soon as it is."""
    with contextlib.suppress(StartTimeoutError):
        wait_until(lambda: is_gone(pid), seconds, "the process is gone")
    return is_gone(pid)


@pytest.mark.parametrize("ending", ["return", "raise"])
def test_child_is_gone_when_its_parent_ends_by_itself(tmp_path: Path, ending: str) -> None:
    parent, child_pid = start_parent(tmp_path, ending, *SLEEP)
    parent.wait(30)
    assert is_gone(child_pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_child_is_gone_when_its_parent_is_interrupted(tmp_path: Path, number: int) -> None:
    parent, child_pid = start_parent(tmp_path, "wait", *SLEEP)
    parent.send_signal(number)
    parent.wait(30)
    assert is_gone(child_pid)


@pytest.mark.parametrize("argv", [SLEEP, IGNORES_TERM])
def test_child_does_not_survive_a_killed_parent(tmp_path: Path, argv: tuple[str, ...]) -> None:
    parent, child_pid = start_parent(tmp_path, "wait", *argv)
    parent.kill()
    parent.wait(30)
    assert gone_within(30, child_pid)


def test_frozen_child_does_not_survive_a_killed_parent(tmp_path: Path) -> None:
    parent, child_pid = start_parent(tmp_path, "wait", *SLEEP)
    os.kill(child_pid, signal.SIGSTOP)
    parent.kill()
    parent.wait(30)
    assert gone_within(30, child_pid)


def test_grandchildren_are_stopped_with_their_parent(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, "sh", "-c", "sleep 600 & echo $!; wait"))
    wait_until(lambda: child.log_tail().strip().isdigit(), 10, "the grandchild has told its pid")
    grandchild_pid = int(child.log_tail())
    assert not is_gone(grandchild_pid)
    supervisor.stop("part")
    assert gone_within(10, grandchild_pid)


def test_child_that_ignores_sigterm_is_killed_after_its_grace_time(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, *IGNORES_TERM, grace_seconds=0.2))
    wait_until(lambda: child.log_tail() == "deaf", 10, "the child ignores SIGTERM")
    child.stop()
    assert child.status() == "killed by SIGKILL"


def test_children_are_stopped_last_started_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    with Supervisor() as supervisor:
        for name in ("first", "second"):
            script = f"trap 'echo {name} >> {order}; exit 0' TERM; echo up; while :; do sleep 0.05; done"
            child = supervisor.start(spec(tmp_path, "sh", "-c", script, name=name))
            wait_until(partial(has_said, child, "up"), 10, f"{name} is up")
    assert order.read_text().split() == ["second", "first"]


def test_unexpected_end_is_reported_with_name_code_and_log(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, "sh", "-c", "echo no such table; exit 3", name="learner"))
    wait_until(lambda: not child.is_running, 10, "the child has ended")
    with pytest.raises(ChildDiedError, match=r"(?s)learner exited with code 3.*no such table"):
        supervisor.check()


def test_program_that_does_not_exist_is_reported(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, "no-such-program-4711"))
    with pytest.raises(ChildDiedError, match=r"(?s)part exited with code 127.*not found"):
        child.wait_ready(lambda: False, 10)


def test_asked_end_is_no_failure(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(spec(tmp_path, *SLEEP)).stop()
    supervisor.check()
    assert supervisor.status() == {"part": "killed by SIGTERM"}


def test_silent_start_fails_at_its_deadline_with_the_log(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, "sh", "-c", "echo warming up; sleep 600"))
    wait_until(lambda: child.log_tail() == "warming up", 10, "the child has written")
    with pytest.raises(StartTimeoutError, match=r"(?s)part answers: not so after 0.1 s.*warming up"):
        child.wait_ready(lambda: False, 0.1)


def test_frozen_child_runs_on_after_thaw(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, *SLEEP))
    child.freeze()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED, 10, "the child is frozen")
    child.thaw()
    wait_until(lambda: psutil.Process(child.pid).status() != psutil.STATUS_STOPPED, 10, "the child runs on")
    assert psutil.Process(child.pid).status() in (psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)


ORPHANS = ("sh", "-c", "sleep 600 & echo $!; exit 3")


def test_what_a_child_left_behind_when_it_ended_is_ended_with_it(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, *ORPHANS))
    wait_until(lambda: not child.is_running, 10, "the child has ended")
    left = int(child.log_tail())
    assert not is_gone(left)
    child.kill()
    wait_until(lambda: is_gone(left), 10, "what it left is gone")
    assert child.status() == "exited with code 3"


def test_what_a_child_left_behind_is_ended_before_its_name_is_used_again(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    child = supervisor.start(spec(tmp_path, *ORPHANS))
    wait_until(lambda: not child.is_running, 10, "the child has ended")
    left = int(child.log_tail())
    supervisor.start(spec(tmp_path, *SLEEP))
    wait_until(lambda: is_gone(left), 10, "what it left is gone")
    assert is_gone(left)


def test_a_child_keeps_its_id_until_it_is_killed(tmp_path: Path, supervisor: Supervisor) -> None:
    child = supervisor.start(spec(tmp_path, "true"))
    wait_until(lambda: not child.is_running, 10, "the child has ended")
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    child.kill()
    assert not psutil.pid_exists(child.pid)


def test_nothing_is_signalled_once_a_child_was_waited_for(tmp_path: Path, supervisor: Supervisor) -> None:
    ended = supervisor.start(spec(tmp_path, "true", name="ended"))
    wait_until(lambda: not ended.is_running, 10, "the child has ended")
    ended.kill()
    other = supervisor.start(spec(tmp_path, *SLEEP, name="other"))
    ended.process.pid = other.pid  # as if the system had given the id to another process, a leader as well
    for signalled in (ended.kill, ended.stop, ended.freeze):
        signalled()
    assert psutil.Process(other.pid).status() != psutil.STATUS_STOPPED
    assert other.is_running


def test_name_in_use_is_refused(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(spec(tmp_path, *SLEEP))
    with pytest.raises(ValueError, match="part is running already"):
        supervisor.start(spec(tmp_path, *SLEEP))


def test_child_gets_exactly_the_given_environment(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "GREETING": "hello"}
    child = Child.start(ChildSpec("env", ("sh", "-c", "echo $GREETING $HOME"), tmp_path / "env.log", environment))
    wait_until(lambda: not child.is_running, 10, "the child has ended")
    child.stop()
    assert child.log_tail() == "hello"
