"""Tracks of faults that run at once; what hangs is named, with the stacks of all threads, and ends the campaign."""

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from churn.errors import OutageError

STUCK_SECONDS = 900.0
"""Every wait of a fault has a deadline of its own, which says more: this one ends what was never thought of."""
TELL_SECONDS = 60.0
LOOK_SECONDS = 0.2


class StuckError(OutageError):
    """Something did not come back after a fault."""


@dataclass
class Track:
    """One after another on a thread of its own; `doing` says what it waits for."""

    name: str
    follow: Callable[["Track"], None]
    doing: str = "beginning"
    failure: BaseException | None = None
    _since: float = field(default_factory=time.monotonic)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        # A daemon: a thread that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"track {self.name}", daemon=True)

    def note(self, doing: str) -> None:
        """Say what is being done from now on."""
        self.doing, self._since = doing, time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for its end, but not longer."""
        self._thread.join(seconds)

    @property
    def is_alive(self) -> bool:
        """Tell whether it has not come to its end."""
        return self._thread.is_alive()

    @property
    def seconds(self) -> float:
        """Return for how long it has been doing the same."""
        return time.monotonic() - self._since

    def _run(self) -> None:
        try:
            self.follow(self)
        except BaseException as error:  # noqa: BLE001  raised again by whoever watches
            self.failure = error

    def __str__(self) -> str:
        return f"{self.doing} for {self.seconds:.0f} s"


def run_all(
    tracks: Sequence[Track], stop: threading.Event, say: Callable[[str], None], stuck_seconds: float = STUCK_SECONDS
) -> None:
    """Run tracks to their ends; a failure of one stops the others before their next fault.

    Raises:
        StuckError: one did the same for too long; the stacks of all threads are on stderr.
    """
    for track in tracks:
        track.start()
    told = time.monotonic()
    while running := [track for track in tracks if track.is_alive]:
        if any(track.failure for track in tracks):
            stop.set()
        stuck = [track for track in running if track.seconds > stuck_seconds]
        if stuck:
            stop.set()
            faulthandler.dump_traceback(sys.__stderr__ or 2)
            raise StuckError(f"stuck: {'; '.join(map(str, stuck))}")
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            say(f"at present: {'; '.join(map(str, running))}")
        running[0].join(LOOK_SECONDS)
    for track in tracks:
        if track.failure is not None:
            raise track.failure
