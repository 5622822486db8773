"""What the routes need, as one frozen value: built in `wiring` for a process, by hand in a test."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from api.pulse import PulseView
from churn.declaration import Declaration
from feature_repo.champion import ServingModel
from feature_repo.instruments import Instruments
from feature_repo.reader import UserRow


class Reader(Protocol):
    """Reads users from the online store."""

    async def read(self, user_id: str) -> UserRow:
        """Return one user's row; raises OutageError when the store does not answer."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Follower(Protocol):
    """Works in the background from `start` until `stop`; `outage` says why it cannot right now."""

    outage: str | None

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    def stop(self) -> None:
        """End, and return when ended."""
        ...


@dataclass(frozen=True)
class RiskBands:
    """The probabilities from which a user is of medium and of high risk."""

    medium: float
    high: float


@dataclass(frozen=True)
class Dependencies:
    """Everything that a request may touch."""

    declaration: Declaration
    bands: RiskBands
    reader: Reader
    ping: Callable[[], Awaitable[None]]
    """Returns when the online store answers; raises OutageError when it does not."""
    champion: ServingModel
    pulse: Callable[[], PulseView]
    followers: tuple[Follower, ...]
    clock: Callable[[], datetime]
    instruments: Instruments

    @property
    def kafka_outage(self) -> str | None:
        """Return why Kafka cannot be followed right now, None when it can."""
        return next((follower.outage for follower in self.followers if follower.outage), None)
