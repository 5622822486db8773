"""Starts services by forking a process that has imported their libraries already: 0.1 s a start instead of 3.

A campaign that kills hundreds of workers would otherwise spend its time on imports. What is forked is the same command
with the same environment, in a session of its own.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from compose.processes import CAN_LOOK, WATCHER, Child, ChildSpec, Supervisor, look

OURS = (sys.executable, "-m", "compose")
_ORDERS = threading.RLock()  # one at a time, whoever gives it


@dataclass
class Forked:
    """A process that is a child of the nursery, which keeps its id from being given to another until it is waited for."""

    pid: int
    ask: Callable[[dict[str, Any]], str]
    returncode: int | None = None

    def ended_with(self) -> int | None:
        """Return None while it runs, else its exit code; it is not waited for."""
        if self.returncode is not None:
            return self.returncode
        answer = self.ask({"look": self.pid})
        return int(answer) if answer.strip() else None

    def wait(self) -> int:
        """Wait for it and give its id back; returns its exit code."""
        if self.returncode is None:
            self.returncode = int(self.ask({"wait": self.pid}))
        return self.returncode


class ForkedChild(Child):
    """A child of the nursery."""

    @property
    def code(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with self._turn:
            return cast("Forked", self.process).ended_with()


@dataclass
class NurserySupervisor(Supervisor):
    """A supervisor whose services are forked from one process that stands ready."""

    shared: bool = False
    """Whether the process that stands ready is the same for all shared supervisors of this program, and ends with it."""
    _nursery: Any = None
    _lock: Any = field(default_factory=lambda: _ORDERS)

    def start(self, spec: ChildSpec) -> Child:
        """Start a child under a name that is free or whose process has ended."""
        if spec.argv[:3] != OURS:
            return super().start(spec)
        before = self.children.get(spec.name)
        if before is not None and before.is_running:
            raise ValueError(f"{spec.name} is running already (pid {before.pid}); stop it first")
        if before is not None:
            before.kill()  # what is left of its group
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.children[spec.name] = ForkedChild(spec, cast("subprocess.Popen[bytes]", self._fork(spec)))
        return self.children[spec.name]

    def _fork(self, spec: ChildSpec) -> Forked:
        order = {"argv": spec.argv[3:], "env": dict(spec.env or {}), "log": str(spec.log_path), "cwd": str(spec.cwd)}
        with self._lock:
            pid = int(self._ask(order))
            WATCHER.add(pid)
            # Only now it runs: whenever this process is killed, nothing of it is left.
            self._ask({"go": pid})
        return Forked(pid, self._ask)

    def _ask(self, order: dict[str, Any]) -> str:
        with self._lock:
            if self._nursery is None:
                self._nursery = _shared_nursery() if self.shared else _open()
            self._nursery.stdin.write(json.dumps(order) + "\n")
            self._nursery.stdin.flush()
            return str(self._nursery.stdout.readline())

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._nursery is not None and not self.shared:
            _close(self._nursery)
        self._nursery = None


def _open() -> "subprocess.Popen[str]":
    root = Path(__file__).resolve().parent.parent
    argv = (sys.executable, "-m", "compose.nursery")
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)  # noqa: S603  our own program


@functools.cache
def _shared_nursery() -> "subprocess.Popen[str]":
    opened = _open()
    atexit.register(_close, opened)
    return opened


def _close(nursery: "subprocess.Popen[str]") -> None:
    cast("IO[str]", nursery.stdin).close()
    nursery.wait()
    cast("IO[str]", nursery.stdout).close()


def serve(orders: IO[str]) -> None:
    """Fork on request until the input ends."""
    from compose import cli, workers
    from training import learner

    _ = cli, workers, learner  # imported to be there in every child
    gates: dict[int, int] = {}
    ended: dict[int, int] = {}
    for line in orders:
        order = json.loads(line)
        if "go" in order:
            os.close(gates.pop(order["go"]))
            answer = "gone"
        elif "look" in order:
            code = _look(order["look"], ended)
            answer = "" if code is None else str(code)
        elif "wait" in order:
            answer = str(_wait(order["wait"], ended))
        else:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                _become(order, reader)
            os.close(reader)
            while os.getsid(pid) != pid:  # until then a signal to its group would find none
                time.sleep(0.001)
            gates[pid] = writer
            answer = str(pid)
        print(answer, flush=True)


def _look(pid: int, ended: dict[int, int]) -> int | None:
    if CAN_LOOK:
        return look(pid)
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended.get(pid)


def _wait(pid: int, ended: dict[int, int]) -> int:
    code = ended.pop(pid, None)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if code is None else code


def _become(order: dict[str, Any], gate: int) -> None:
    """Be the service; never returns."""
    os.setsid()
    os.read(gate, 1)
    os.close(gate)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    from compose.cli import main

    sys.argv = ["churn", *order["argv"]]
    code = 1
    try:
        main(args=order["argv"], prog_name="churn")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.stdin)
