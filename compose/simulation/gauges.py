"""How far a worker has come, read from its metrics page."""

import contextlib
import re
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from churn.errors import OutageError

POLL_SECONDS, LONGEST_POLL_SECONDS = 0.01, 0.2
"""A metrics page costs its worker some milliseconds: asked a hundred times a second it would slow the training waited for."""
TIMEOUT_SECONDS = 5.0
PATIENCE_SECONDS = 600.0
"""A training of the keeper is waited for as well."""


def gauge(page: str, name: str) -> float:
    """Return the least value of a gauge without regard to its labels; -inf where the page has none of it.

    >>> gauge('# TYPE a gauge\\na{partition="0"} 7.0\\na{partition="1"} 3.0\\n', "a")
    3.0
    """
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
    return min(map(float, found), default=float("-inf"))


def read(address: str) -> str:
    """Return a worker's metrics page; nothing when it does not answer."""
    with (
        contextlib.suppress(OSError, HTTPException),
        urllib.request.urlopen(f"{address}/metrics", timeout=TIMEOUT_SECONDS) as answer,  # noqa: S310  our own http url
    ):
        return str(answer.read().decode())
    return ""


def wait_reached(address: str, name: str, value: float, check: Callable[[], None]) -> None:
    """Return once a gauge of a worker has come to a value.

    Raises:
        OutageError: it has not, in time.
    """
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, POLL_SECONDS
    while (seen := gauge(read(address), name)) < value:  # a worker that has died is told of by `check`
        check()
        if time.monotonic() > deadline:
            raise OutageError(f"{name} of {address} is {seen:.0f} after {PATIENCE_SECONDS:g} s, not {value:.0f}")
        time.sleep(pause)
        pause = min(1.2 * pause, LONGEST_POLL_SECONDS)
