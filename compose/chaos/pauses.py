"""How long a partition was without an owner, seen from its readers: the features topic says who wrote what when."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from churn.blocks import decode_features
from churn.settings import Settings
from churn.topics import FEATURES
from compose.chaos.outcome import read


class Timed(Protocol):
    """A fault with its times."""

    @property
    def kind(self) -> str:
        """Return the name of the kind."""

    @property
    def began(self) -> float:
        """Return when it began, in seconds since 1970."""

    @property
    def ended(self) -> float:
        """Return when it was mended."""


@dataclass(frozen=True)
class Written:
    """A block that holds users: when it was written, and the number of its owner."""

    at: float
    epoch: int


@dataclass(frozen=True)
class Pause:
    """A change of owner: from the last block of the former one to the first of the new one that holds users."""

    partition: int
    began: float
    seconds: float
    cause: str


def pauses(settings: Settings, faults: Iterable[Timed]) -> list[Pause]:
    """Return every change of owner, named by the fault that was under way or had just ended."""
    by_partition: dict[int, list[Written]] = defaultdict(list)
    for message in read(FEATURES, settings):
        block = decode_features(message.value() or b"")
        if block.users:
            by_partition[block.partition].append(Written(message.timestamp()[1] / 1000, block.epoch))
    hits = sorted((f for f in faults if f.kind.startswith(("features", "Kafka"))), key=lambda f: f.began)
    return [
        Pause(number, began, seconds, cause(began, seconds, hits))
        for number, blocks in sorted(by_partition.items())
        for began, seconds in changes(blocks)
    ]


def changes(blocks: Iterable[Written]) -> list[tuple[float, float]]:
    """Return when each change of owner began and how many seconds it took.

    >>> changes([Written(1.0, 1), Written(2.0, 1), Written(4.5, 2), Written(5.0, 2)])
    [(2.0, 2.5)]
    """
    found, last = [], None
    for block in blocks:
        if last is not None and block.epoch > last.epoch:
            found.append((last.at, round(block.at - last.at, 3)))
        if last is None or block.epoch >= last.epoch:
            last = block
    return found


def cause(began: float, seconds: float, faults: Iterable[Timed]) -> str:
    """Return the last fault that began before the pause ended and was not over long before it began."""
    near = [f.kind for f in faults if f.began <= began + seconds and f.ended >= began - 10]
    return near[-1] if near else "none"
