"""Child processes that never outlive the process that started them.

Every child leads a session of its own, so Ctrl-C reaches only the parent, which then stops its children in order.
However the parent goes (SIGKILL included), a watcher process reads end of file on a pipe and ends the children.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Self, cast

from churn.errors import OutageError
from compose import deathwatch

# A JVM with open logs needs about 2 s to stop cleanly, a worker its last checkpoint of about 1 s.
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.02
KILL_SECONDS = 60.0
"""A killed process is gone within milliseconds, one with gigabytes on a busy machine within seconds."""
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 16_384

# The child waits at this gate until the watcher knows its group: a parent killed between the two leaves nothing.
GATE = 'read -r go && exec "$@" </dev/null'


class ChildDiedError(OutageError):
    """A child process ended although nobody asked it to."""


class StartTimeoutError(OutageError):
    """A part did not become ready before its deadline."""


def wait_until(condition: Callable[[], bool], timeout_seconds: float, what: str) -> None:
    """Return as soon as the condition holds; raise StartTimeoutError, naming `what`, after the deadline."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StartTimeoutError(f"{what}: not so after {timeout_seconds:g} s")
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class ChildSpec:
    """What to run: its name in messages, the command line, where its output goes, its whole environment."""

    name: str
    argv: tuple[str, ...]
    log_path: Path
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    grace_seconds: float = GRACE_SECONDS


class Watcher:
    """The one process that ends this process's children when this process is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner_pid = 0
        self._pipe: IO[bytes] | None = None

    def add(self, group: int) -> None:
        """Have the group ended when this process is gone."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Forget a group that has been stopped."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            # A forked copy of this process must have a watcher of its own, as it may go at another time.
            if self._pipe is None or self._owner_pid != os.getpid():
                self._pipe = self._start()
            self._pipe.write(line.encode())

    def _start(self) -> IO[bytes]:
        reader, writer = os.pipe()
        script = str(Path(deathwatch.__file__).resolve())
        argv = [sys.executable, "-I", "-S", script, str(os.getpid()), str(GRACE_SECONDS)]
        process = subprocess.Popen(argv, stdin=reader)  # noqa: S603  our own script
        os.close(reader)
        self._owner_pid = os.getpid()
        pipe = os.fdopen(writer, "wb", buffering=0)
        atexit.register(self._end, os.getpid(), pipe, process)
        return pipe

    def _end(self, owner_pid: int, pipe: IO[bytes], process: "subprocess.Popen[bytes]") -> None:
        """Let the watcher go at an orderly end; it ends whatever was left running first."""
        if owner_pid == os.getpid():
            pipe.close()
            process.wait(2 * GRACE_SECONDS)


WATCHER = Watcher()


# macOS can since Python 3.13; where a system cannot, an ended process loses its id when it is asked for.
CAN_LOOK = hasattr(os, "waitid")


def look(pid: int) -> int | None:
    """Return the exit code of a child that has ended (negative: the signal), None while it runs.

    It is not waited for, so that the system keeps its id, and with it the group's, from being given to another.

    Raises:
        ChildProcessError: somebody has waited for it.
    """
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


@dataclass
class Child:
    """One running child process and what can be done to it.

    An ended process is waited for in `kill` and `stop` only, after the rest of its group was ended; from then on nothing
    is signalled, as its id may be another's.
    """

    spec: ChildSpec
    process: subprocess.Popen[bytes]
    stop_asked: bool = False
    # A signal must not be on its way while another thread waits for the process.
    _turn: Any = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def start(cls, spec: ChildSpec) -> Self:
        """Start the process under the watcher; its output is appended to the log file."""
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        with spec.log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  the argv is ours, no user's text is run by the shell
                ["/bin/sh", "-c", GATE, spec.name, *spec.argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if spec.env is None else dict(spec.env),
                cwd=spec.cwd,
                start_new_session=True,
            )
        WATCHER.add(process.pid)
        # A broken pipe means that the child is gone already; check() says so with its log.
        with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as gate:
            gate.write(b"go\n")
        return cls(spec, process)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.code is None

    @property
    def code(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with self._turn:
            if self.process.returncode is None and CAN_LOOK:
                with contextlib.suppress(ChildProcessError):
                    return look(self.pid)
            return self.process.poll()

    def stop(self) -> None:
        """End the process and its group: SIGTERM first, SIGKILL after the grace time; wake it if it is frozen."""
        self.stop_asked = True
        if self.is_running:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
            with contextlib.suppress(StartTimeoutError):
                wait_until(lambda: not self.is_running, self.spec.grace_seconds, f"{self.spec.name} ends")
        self.kill()

    def kill(self) -> None:
        """End the process and its group at once, as a power failure would, also what it left behind when it ended."""
        self.stop_asked = True
        self._signal(signal.SIGKILL)
        wait_until(lambda: not self.is_running, KILL_SECONDS, f"{self.spec.name} is gone after SIGKILL")
        with self._turn:
            if self.process.returncode is None:
                WATCHER.remove(self.pid)
            self.process.wait()

    def freeze(self) -> None:
        """Stop the process where it stands (SIGSTOP) until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process run on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with self._turn:
            if self.process.returncode is None:
                deathwatch.signal_group(self.pid, number)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Return the last lines of the log."""
        with self.spec.log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def status(self) -> str:
        """Say in a few words how the process is."""
        code = self.code
        if code is None:
            return f"running (pid {self.pid})"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def check(self) -> None:
        """Raise ChildDiedError, with the end of the log, if the process ended unasked."""
        if not self.stop_asked and not self.is_running:
            raise ChildDiedError(
                f"{self.spec.name} {self.status()}; the end of its log {self.spec.log_path}:\n{self.log_tail()}"
            )

    def wait_ready(self, answers: Callable[[], bool], timeout_seconds: float) -> None:
        """Return once the process answers; raise, with the end of its log, if it dies or the deadline passes."""

        def ready() -> bool:
            self.check()
            return answers()

        try:
            wait_until(ready, timeout_seconds, f"{self.spec.name} answers")
        except StartTimeoutError as error:
            raise StartTimeoutError(f"{error}; the end of its log {self.spec.log_path}:\n{self.log_tail()}") from None


@dataclass
class Supervisor:
    """Named children which are all stopped, the last started first, when the `with` block is left."""

    children: dict[str, Child] = field(default_factory=dict)
    _previous_handler: Any = None

    def start(self, spec: ChildSpec) -> Child:
        """Start a child under a name that is free or whose process has ended."""
        before = self.children.get(spec.name)
        if before is not None and before.is_running:
            raise ValueError(f"{spec.name} is running already (pid {before.pid}); stop it first")
        if before is not None:
            before.kill()  # what is left of its group
        self.children[spec.name] = Child.start(spec)
        return self.children[spec.name]

    def stop(self, name: str) -> None:
        """Stop one child."""
        self.children[name].stop()

    def stop_all(self) -> None:
        """Stop every child, the last started first."""
        for child in reversed(list(self.children.values())):
            child.stop()

    def check(self) -> None:
        """Raise ChildDiedError for the first child that ended unasked."""
        for child in self.children.values():
            child.check()

    def status(self) -> dict[str, str]:
        """Say for each child how it is."""
        return {name: child.status() for name, child in self.children.items()}

    def __enter__(self) -> Self:
        # SIGTERM becomes an exception, so that children stop in order; the watcher covers every other end.
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._previous_handler = signal.signal(signal.SIGTERM, raise_exit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop_all()
        finally:
            if self._previous_handler is not None:
                signal.signal(signal.SIGTERM, self._previous_handler)


def raise_exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
