"""A training as a child process: started once, found again after a kill of the keeper, its end told with evidence.

Whether a run is going on is told by a lock on a file that the child inherits from the moment it exists: it is held as
long as any process of the run lives, and by nobody else, so that neither a kill nor a reused process id deceives.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from churn.fault_points import passing

TIMEOUT_SECONDS = 4 * 3600.0
GRACE_SECONDS = 10.0
TAIL_BYTES, TAIL_LINES = 8192, 15
KEPT_LOGS = 20


@dataclass(frozen=True)
class Order:
    """What a training is told: who asks and why, the keeper's time, and where its figures go."""

    run: str
    who: str
    reason: str
    now: datetime
    figures: Path


Command = Callable[[Order], Sequence[str]]
"""Returns the command line of a training; built where commands are known."""


class Running(Protocol):
    """A process that was started, as `subprocess.Popen` knows it."""

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code when it has ended; raises subprocess.TimeoutExpired."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


Begin = Callable[[Sequence[str], int, int], Running]
"""Starts a command line with the descriptors of its output and of the lock that it holds on, in this process's group."""


def begin_process(command: Sequence[str], output: int, lock: int) -> Running:
    """Start a command line as a process of its own."""
    return subprocess.Popen(  # noqa: S603  our own command line
        list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, pass_fds=(lock,)
    )


@dataclass(frozen=True)
class Ended:
    """How a run ended: `code` is None when nobody was there to see it."""

    code: int | None
    tail: str
    figures: dict[str, Any]
    timed_out: bool = False

    @property
    def says(self) -> str:
        """Say in a sentence how it ended."""
        if self.timed_out:
            return "the training was ended after its time was over"
        how = {None: "ended while the keeper was away", 0: "ended in order"}.get(
            self.code, f"ended with code {self.code}"
        )
        return f"the training {how}"


class Runs:
    """At most one training at a time, in this process or any other that uses the same folder."""

    def __init__(
        self,
        folder: Path,
        command: Command,
        timeout_seconds: float = TIMEOUT_SECONDS,
        begin: Begin = begin_process,
    ) -> None:
        """Keep output and figures in `folder`."""
        self._folder, self._command, self._timeout_seconds = folder, command, timeout_seconds
        self._begin = begin
        self._child: Running | None = None
        self._began = 0.0
        self._timed_out = False

    def start(self, order: Order) -> bool:
        """Start a training; returns False, and starts nothing, while another one of this folder is going on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _taken(lock):
                return False
            self._clean()
            self._child = self._spawn(order, lock)
            self._began, self._timed_out = time.monotonic(), False
        finally:
            os.close(lock)  # the child holds it on
        passing("keeper.run_started")
        return True

    def _spawn(self, order: Order, lock: int) -> Running:
        with self._log(order.run).open("ab") as output:
            # In the keeper's own process group: whoever ends that ends the training too.
            return self._begin(self._command(order), output.fileno(), lock)

    def going_on(self) -> bool:
        """Tell whether a run is going on, whoever started it."""
        self._end_late()
        if self._child is not None and self._child.poll() is None:
            return True
        # A child may seem to have ended that has not: the process that forked it was killed.
        try:
            lock = os.open(self._folder / "run.lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _taken(lock)
        finally:
            os.close(lock)

    def _end_late(self) -> None:
        if self._child is not None and time.monotonic() - self._began > self._timeout_seconds and not self._timed_out:
            self._timed_out = True
            self.stop()

    def ended(self, run: str) -> Ended:
        """Return how a run ended that is not going on any more."""
        code = self._child.wait() if self._child is not None else None
        self._child = None
        return Ended(code, _tail(self._log(run)), _figures(self.figures(run)), self._timed_out)

    def stop(self) -> None:
        """End the training that this process started, if it has one: first asked, then killed."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def figures(self, run: str) -> Path:
        """Return where a run writes its figures."""
        return self._folder / f"{run}.json"

    def _log(self, run: str) -> Path:
        return self._folder / f"{run}.log"

    def _clean(self) -> None:
        """Drop what the oldest runs have left."""
        logs = sorted(self._folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for old in logs[: -KEPT_LOGS + 1]:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-TAIL_LINES:])
    except OSError:
        return ""


def _figures(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}
    return found if isinstance(found, dict) else {}
