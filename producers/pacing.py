"""Pace a replay by event time: one recorded second lasts 1/speed seconds of the clock that is handed in."""

from collections.abc import Callable

from churn.errors import InputError

# Waits below 2 ms cost more than they order: a sleep itself is off by about that much.
SHORTEST_WAIT_SECONDS = 0.002


class Pace:
    """Hold events back until their time has come.

    The first event is due at once; every later one when `(its time - first time) / speed` seconds have passed.

    Args:
        speed: recorded seconds per second, above 0; 86400 replays a day a second.
        monotonic: the clock, in seconds.
        sleep: waits for that many seconds.

    Raises:
        InputError: speed is not above 0.
    """

    def __init__(self, speed: float, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        if not speed > 0:
            raise InputError(f"speed is {speed:g}; give a number above 0, such as 86400 for a day a second")
        self._speed = speed
        self._monotonic = monotonic
        self._sleep = sleep
        self._origin: tuple[int, float] | None = None

    def wait_for(self, occurred_at_us: int) -> None:
        """Return when an event of this time (microseconds since 1970) is due; at once when it is late already."""
        if self._origin is None:
            self._origin = occurred_at_us, self._monotonic()
        first_us, started = self._origin
        due = started + (occurred_at_us - first_us) / 1e6 / self._speed
        wait = due - self._monotonic()
        if wait > SHORTEST_WAIT_SECONDS:
            self._sleep(wait)
