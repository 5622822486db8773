"""The wall clock, with a way to stop whoever waits on it."""

from datetime import UTC, datetime
from threading import Event


class WallClock:
    """Tell the present time; `stop` may be called from a signal handler or another thread."""

    def __init__(self) -> None:
        self._stopped = Event()

    def now(self) -> datetime:
        """Return the present, UTC."""
        return datetime.now(UTC)

    def wait(self, seconds: float) -> bool:
        """Let so much time pass; return False when it is time to stop."""
        return not self._stopped.wait(seconds)

    def stop(self) -> None:
        """End the waiting, now and for good."""
        self._stopped.set()
