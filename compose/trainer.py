"""Trainings that begin in a copy of a process which has their libraries loaded.

Of 8.5 s of CPU that a training of 5,000 users takes, 4 are imports. A simulated year runs sixty of them in a quarter of an
hour; a keeper that trains once a week has no use for 0.4 GB that wait (CHURN_TRAINER_LOADED).
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import Any

LOADED = ["compose.cli", "training.session", "training.registry", "mlflow.store.tracking.sqlalchemy_store"]
OURS = ("-m", "compose")


class LoadedTrainer:
    """Starts command lines of this program by forking (`training.loop.runs.Begin`)."""

    def __init__(self) -> None:
        """Load in the background, in a process that ends with this one."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(LOADED)

    def __call__(self, command: Sequence[str], output: int, lock: int) -> "Forked":
        """Start one; it holds `lock` on."""
        own = list(command[command.index(OURS[1]) + 1 :])
        process = self._context.Process(target=become, args=(own, Passed(output), Passed(lock)))
        process.start()
        return Forked(process, command)


class Passed:
    """A descriptor that goes with the fork, from the first moment on; unpickled it is a number again."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        """Name it among those that are sent along: made sooner, `DupFd` would wait here to be fetched."""
        return _arrived, (DupFd(self._descriptor),)


def _arrived(sent: Any) -> int:
    return int(sent.detach())


class Forked:
    """A forked process with the manners of `subprocess.Popen`."""

    def __init__(self, process: ForkServerProcess, command: Sequence[str]) -> None:
        self._process, self._command = process, command
        self.terminate, self.kill = process.terminate, process.kill

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code when it has ended; raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._command, timeout or 0.0)
        return code


def become(command: list[str], output: int, _lock: int) -> None:
    """Be the command line; the lock's descriptor stays open until the process ends."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    from compose.cli import main

    sys.argv = ["churn", *command]
    main(args=command, prog_name="churn")
