"""A worker of this package in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Follower(Protocol):
    """What the learner and the auditor are: they run until they are asked to stop."""

    def run(self, stop: threading.Event) -> None:
        """Work until the event is set."""


AnyFollower = TypeVar("AnyFollower", bound=Follower)


@contextmanager
def at_work(follower: AnyFollower) -> Iterator[AnyFollower]:
    """Run a follower in a thread while the block lasts; it must end when it is asked to."""
    stop = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        yield follower
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
