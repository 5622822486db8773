from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest


@dataclass
class Collected:
    """A sink that keeps what it is given."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def publish(self, user_id: str, value: bytes) -> None:
        self.messages.append((user_id, value))

    def poll(self) -> None:
        """Nothing can fail here."""

    @property
    def values(self) -> list[bytes]:
        return [value for _, value in self.messages]


@dataclass
class SteppedClock:
    """A clock that jumps by `step` whenever it is waited on, and stops at `end`."""

    present: datetime
    end: datetime
    step: timedelta

    def now(self) -> datetime:
        return self.present

    def wait(self, seconds: float) -> bool:
        if self.present >= self.end:
            return False
        self.present = min(self.present + self.step, self.end)
        return True


@pytest.fixture
def sink() -> Collected:
    return Collected()


@pytest.fixture
def stepped_clock() -> type[SteppedClock]:
    return SteppedClock
