"""What goes wrong on the way to Kafka, by rate: duplicates, disorder, late and broken messages, all counted.

Noise never changes what happened: every good event is published at least once, unaltered, and the truth stays true.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from churn.errors import SettingsError

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
NOISE_STREAM = 777
DUPLICATE_AFTER_US = (SECOND_US, 300 * SECOND_US)
DISORDER_US = (60 * SECOND_US, 3 * 3600 * SECOND_US)
LATE_US = (DAY_US, 40 * DAY_US)
BROKEN_KINDS = ("not-json", "wrong-version", "unknown-type", "missing-field", "future-dated", "over-long-id")


@dataclass(frozen=True)
class Noise:
    """Shares of the good events that meet each fate (at most one): each in [0, 1], together at most 1.

    duplicates: published again, the same bytes, 1 s to 5 min later. disordered: published 1 min to 3 h late.
    late: published 1 to 40 days late. broken: so many extra messages that no reader should accept.
    """

    duplicates: float = 0.0
    disordered: float = 0.0
    late: float = 0.0
    broken: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.duplicates, self.disordered, self.late)
        if min(*shares, self.broken) < 0 or sum(shares) > 1 or self.broken > 1:
            raise SettingsError(f"{self}: each rate must lie in [0, 1], and the first three together at most be 1")

    def __bool__(self) -> bool:
        return self.duplicates + self.disordered + self.late + self.broken > 0


@dataclass
class NoiseCounts:
    """How much noise was made; `broken` counts by kind (BROKEN_KINDS)."""

    duplicates: int = 0
    disordered: int = 0
    late: int = 0
    broken: Counter[str] = field(default_factory=Counter)


class Message(NamedTuple):
    """One message on its way: when it is due at the broker (microseconds since 1970), its key, its bytes."""

    due_us: int
    user_id: str
    value: bytes


class Disturber:
    """Hold messages back, double them and add broken ones; the same seed disturbs the same messages."""

    def __init__(self, noise: Noise, seed: int) -> None:
        self.counts = NoiseCounts()
        self._noise = noise
        self._seed = seed
        self._batches = 0
        self._waiting: list[tuple[int, int, Message]] = []
        self._held = 0

    def disturb(self, messages: list[Message], stem: str) -> None:
        """Take the next good messages in; `stem` begins the ids of broken messages made among them."""
        if not messages:
            return
        rng = np.random.default_rng([self._seed, self._batches, NOISE_STREAM])
        self._batches += 1
        fates, delays = rng.random(len(messages)).tolist(), rng.random(len(messages)).tolist()
        for message, fate, delay in zip(messages, fates, delays, strict=True):
            self._meet(message, fate, delay)
        for number in range(rng.binomial(len(messages), self._noise.broken)):
            self._break(messages[rng.integers(len(messages))], f"{stem}x{number:x}", rng)

    def due(self, until_us: int) -> list[Message]:
        """Give out what is due up to and including `until_us`, in the order of being due."""
        out = []
        while self._waiting and self._waiting[0][0] <= until_us:
            out.append(heapq.heappop(self._waiting)[2])
        return out

    def rest(self) -> list[Message]:
        """Give out everything that is still held back, in the order of being due."""
        return self.due(2**63)

    def _meet(self, message: Message, fate: float, delay: float) -> None:
        noise, counts = self._noise, self.counts
        if fate < noise.duplicates:
            counts.duplicates += 1
            self._hold(message)
            self._hold(_later(message, DUPLICATE_AFTER_US, delay))
        elif (fate := fate - noise.duplicates) < noise.disordered:
            counts.disordered += 1
            self._hold(_later(message, DISORDER_US, delay))
        elif fate - noise.disordered < noise.late:
            counts.late += 1
            self._hold(_later(message, LATE_US, delay))
        else:
            self._hold(message)

    def _break(self, beside: Message, event_id: str, rng: np.random.Generator) -> None:
        kind = BROKEN_KINDS[rng.integers(len(BROKEN_KINDS))]
        self.counts.broken[kind] += 1
        self._hold(Message(beside.due_us, beside.user_id, broken(kind, event_id, beside.user_id, beside.due_us)))

    def _hold(self, message: Message) -> None:
        # The running number keeps messages of one microsecond in the order in which they came.
        self._held += 1
        heapq.heappush(self._waiting, (message.due_us, self._held, message))


def broken(kind: str, event_id: str, user_id: str, at_us: int) -> bytes:
    """Return a message that breaks the contract in the way of `kind`, one of BROKEN_KINDS, and in no other.

    >>> broken("not-json", "e1", "u1", 0)
    b'{"event_id":"e1","user_id":"u1","event_ty'
    """
    at = datetime.fromtimestamp(at_us // SECOND_US, UTC).replace(tzinfo=None)
    event_type = "lesson_teleported" if kind == "unknown-type" else "session_started"
    version = 99 if kind == "wrong-version" else 1
    at = at.replace(year=2999, month=1, day=1) if kind == "future-dated" else at
    name = event_id.ljust(200, "0") if kind == "over-long-id" else event_id
    time = "" if kind == "missing-field" else f'"occurred_at":"{at.isoformat()}Z",'
    line = f'{{"event_id":"{name}","user_id":"{user_id}","event_type":"{event_type}",{time}"schema_version":{version}}}'
    cut = len(f'{{"event_id":"{name}","user_id":"{user_id}","event_ty') if kind == "not-json" else len(line)
    return line[:cut].encode()


def _later(message: Message, within_us: tuple[int, int], share: float) -> Message:
    low, high = within_us
    return message._replace(due_us=message.due_us + low + int((high - low) * share))
