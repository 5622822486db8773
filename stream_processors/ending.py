"""The end of a worker that failed: in good order if that is quick, else at once.

Faust stops its services one after another and waits for each without a limit. A consumer thread that a broker's outage or
a fence has ended never says so, and the process would stay: alive for whoever asks it, and doing nothing. Everything that
it has not committed is done again by a fresh start, so nothing is lost by ending it hard.
"""

import os
import sys
import threading
from collections.abc import Callable

import faust
import structlog

STOP_SECONDS = 5.0
"""An orderly end, in which partitions are given back at once, takes 2 s; without it they move when the session ends."""
EXIT_CODE = 1

log = structlog.get_logger(__name__)


class EndingWorker(faust.Worker):
    """Ends its process soon after its application failed; told to stop, it takes the time that it is given."""

    deadline: threading.Timer | None = None

    def on_worker_shutdown(self) -> None:
        """Begin to count when nobody has asked for the end."""
        super().on_worker_shutdown()
        if not self._signal_stop_time:
            self.deadline = ending_after(STOP_SECONDS)


def ending_after(seconds: float, end: Callable[[int], object] = os._exit) -> threading.Timer:
    """Return a running timer that ends the process."""

    def end_now() -> None:
        log.error("the worker does not come to its end by itself", seconds=seconds)
        sys.stdout.flush()
        sys.stderr.flush()
        end(EXIT_CODE)

    timer = threading.Timer(seconds, end_now)
    timer.daemon = True
    timer.start()
    return timer
