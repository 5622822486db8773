"""Seeded events with duplicates, disorder and rubbish, and the ledger of what of them must count."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

Record = tuple[str, bytes]

START = datetime(2025, 1, 1, tzinfo=UTC)
KINDS: tuple[tuple[str, str], ...] = (
    ("session_started", ""),
    ("lesson_completed", "minutes"),
    ("quiz_submitted", "score"),
    ("support_ticket_opened", ""),
    ("payment_succeeded", "amount"),
)
"""What users do, and the measure that the e-learning declaration asks for."""
RUBBISH = (b"not an event", b"{}", b"[" * 2000, b'{"event_id":"x"}')
DUPLICATES, DISORDER, BROKEN = 0.02, 0.05, 0.005
"""Shares of events that are sent twice, are dated up to 3 days back, and are followed by a record that is no event."""
SHARP = 0.5
"""Share of midnights that an event falls on to the microsecond; it is not of the day that ends there."""
RECENT = 2000
LAST_EVENTS = 100


@dataclass
class Ledger:
    """What was published and must count, each event once: the truth of the producer, which no reader had a part in."""

    event_ids: set[str] = field(default_factory=set)
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    measured: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Sums of each user's measures, in hundredths."""
    rubbish: int = 0
    duplicates: int = 0

    def note(self, event_id: str, user: str, kind: str, measure: str, hundredths: int) -> None:
        """Count an event once."""
        self.event_ids.add(event_id)
        self.kinds[user][kind] += 1
        if measure:
            self.measured[user][measure] += hundredths

    @property
    def users(self) -> list[str]:
        """Return everyone who did something."""
        return sorted(self.kinds)


class Load:
    """Makes slices of a history; the same seed makes the same events."""

    def __init__(self, seed: int, users: int, seconds_per_event: float, name: str = "e") -> None:
        self.ledger = Ledger()
        self._chance = random.Random(seed)  # noqa: S311  a reproducible load
        self._users, self._step = users, timedelta(seconds=seconds_per_event)
        self._name, self._count = name, 0
        self._recent: list[Record] = []
        self.now = self.began = START

    def slice(self, count: int, duplicates: float = DUPLICATES, disorder: float = DISORDER) -> list[Record]:
        """Return the records of the next `count` events, repeats and rubbish among them."""
        return [record for _ in range(count) for record in self._next(duplicates, disorder)]

    def rubbish(self, count: int) -> list[Record]:
        """Return records that are no events."""
        return [self._broken() for _ in range(count)]

    def again(self, count: int) -> list[Record]:
        """Return events that were published before."""
        self.ledger.duplicates += count if self._recent else 0
        return self._chance.choices(self._recent, k=count) if self._recent else []

    def last(self) -> list[Record]:
        """Move time to the next noon, so that no midnight passes while the outcome is looked at.

        Enough users are active then that every partition learns of it.
        """
        noon = self.now.replace(hour=12, minute=0, second=0, microsecond=0)
        self.now = noon if noon > self.now else noon + timedelta(days=1)
        self._step = timedelta(seconds=1)
        return self.slice(LAST_EVENTS, 0.0, 0.0)

    def _next(self, duplicates: float, disorder: float) -> Iterator[Record]:
        record = self._event(disorder)
        yield record
        if self._chance.random() < duplicates:
            yield from self.again(1)
        if self._chance.random() < BROKEN:
            yield self._broken()
        self._recent = [*self._recent[-RECENT:], record] if len(self._recent) > 2 * RECENT else [*self._recent, record]

    def _event(self, disorder: float) -> Record:
        chance = self._chance
        self._move_on()
        self._count += 1
        back = timedelta(seconds=chance.randrange(3 * 86_400)) if chance.random() < disorder else timedelta(0)
        user, (kind, measure) = f"u{chance.randrange(self._users):05d}", chance.choice(KINDS)
        event_id, hundredths = f"{self._name}-{self._count}", chance.randrange(0, 10_000)
        self.ledger.note(event_id, user, kind, measure, hundredths)
        content = {
            "event_id": event_id, "user_id": user, "event_type": kind, "schema_version": 1,
            "occurred_at": max(START, self.now - back).isoformat(),
            **({"measures": {measure: hundredths / 100}} if measure else {}),
        }  # fmt: skip
        return user, json.dumps(content).encode()

    def _move_on(self) -> None:
        self.now += self._step
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.now - midnight < self._step and self._chance.random() < SHARP:
            self.now = midnight

    def _broken(self) -> Record:
        self.ledger.rubbish += 1
        return f"u{self._chance.randrange(self._users):05d}", self._chance.choice(RUBBISH)


def expected_totals(ledger: Ledger, user: str, adds: Mapping[str, int | str], scale: int) -> int:
    """Return the lifetime total of a counter in its units, from the ledger alone."""
    total = 0
    for kind, amount in adds.items():
        if isinstance(amount, str):
            total += ledger.measured[user][amount] * scale // 100
        else:
            total += ledger.kinds[user][kind] * amount * scale
    return total
