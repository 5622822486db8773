"""Starts services by forking a process that has imported their libraries already: 0.1 s a start instead of 3.

A campaign that kills hundreds of workers would otherwise spend its time on imports. What is forked is the same command
with the same environment, in a session of its own.
"""

import atexit
import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from churn.errors import OutageError
from compose.processes import WATCHER, Child, ChildSpec, Supervisor

OURS = (sys.executable, "-m", "compose")
_ORDERS = threading.RLock()  # one at a time, whoever gives it


class NurseryGoneError(OutageError):
    """The process that forks was ended."""


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
        try:
            answer = self.ask({"look": self.pid})
        except NurseryGoneError:
            return -signal.SIGKILL  # nobody can know any more; `kill` ends it, should it run
        return int(answer) if answer.strip() else None

    def wait(self) -> int:
        """Wait for it and give its id back; returns its exit code."""
        if self.returncode is None:
            with contextlib.suppress(NurseryGoneError):
                self.returncode = int(self.ask({"wait": self.pid}))
        return -signal.SIGKILL if self.returncode is None else self.returncode


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
    _nursery: "Nursery | None" = None
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
        spec.log_path.touch()  # whoever waits for a line of it finds the file
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
                self._nursery = _shared_nursery() if self.shared else Nursery()
            return self._nursery.ask(order)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._nursery is not None and not self.shared:
            self._nursery.close()
        self._nursery = None


class Nursery:
    """The process that forks."""

    def __init__(self) -> None:
        root = Path(__file__).resolve().parent.parent
        argv = (sys.executable, "-m", "compose.forking")
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)  # noqa: S603  our own program
        self._orders, self._answers = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)

    def ask(self, order: dict[str, Any]) -> str:
        """Give an order and return the answer; raises OutageError when none comes."""
        try:
            self._orders.write(json.dumps(order) + "\n")
            self._orders.flush()
            answer = self._answers.readline()
        except OSError:
            answer = ""
        except BaseException:
            # An answer that nobody read would be taken for that of the next order.
            self._process.kill()
            raise
        if not answer:
            raise NurseryGoneError("the process that forks services is gone; start again")
        return answer

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process; what it forked is ended by whoever asked for it."""
        with contextlib.suppress(BrokenPipeError):
            self._orders.close()
        self._process.wait()
        self._answers.close()


_SHARED: list[Nursery] = []


def _shared_nursery() -> Nursery:
    if not (_SHARED and _SHARED[-1].is_running):
        _SHARED.append(Nursery())
        atexit.register(_SHARED[-1].close)
    return _SHARED[-1]
