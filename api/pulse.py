"""The pulse of the system, from the scores that go by: how many, how fresh, who is at risk. Bounded in memory.

Users of whom the probability does not speak (`Score.active`) count in rates and freshness only: who is gone is no risk.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from churn.scores import BANDS, Reason, Score, to_us

# One user costs about 150 bytes (name and dictionary entry), so a million take 150 MB; users beyond are not counted.
MAX_USERS = 1_000_000
SHOWN_USERS = 20
POOL_USERS = 1_000
RATE_SECONDS = 10
FRESHNESS_SECONDS = 60
FRESHNESS_SAMPLES = 5_000


class RiskyUser(msgspec.Struct, frozen=True):
    """One of the users with the highest probability."""

    user_id: str
    probability: float
    band: str
    reasons: list[Reason]
    as_of: datetime


class PulseView(msgspec.Struct, frozen=True):
    """What the live page shows; a rate or freshness without anything measured is null.

    `users`, their bands and the riskiest are active users only.
    Freshness is milliseconds from an event's arrival in Kafka to the score that includes it, over the last minute.
    """

    events_per_second: float | None = None
    scores_per_second: float | None = None
    freshness_p50_ms: float | None = None
    freshness_p99_ms: float | None = None
    users: int = 0
    users_complete: bool = True
    users_by_band: dict[str, int] = {}
    riskiest: list[RiskyUser] = []


class Riskiest:
    """Keeps every active user whose latest probability is at or above a bar, which rises as the pool fills.

    The top is exact as long as the pool holds that many; it holds up to 2,000 and falls below 20 only if 980 of the
    riskiest users recover between two prunings. Then the bar drops and the next scores fill it again.
    """

    def __init__(self, pool_users: int = POOL_USERS) -> None:
        """Start empty, with no bar."""
        self._pool_users = pool_users
        self._pool: dict[str, Score] = {}
        self._bar = -math.inf

    def take(self, score: Score) -> None:
        """Replace what is known of the score's user; who is not active leaves."""
        if not score.active or score.probability < self._bar:
            self._pool.pop(score.user_id, None)
            return
        self._pool[score.user_id] = score
        if len(self._pool) > 2 * self._pool_users:
            kept = heapq.nlargest(self._pool_users, self._pool.values(), key=_probability)
            self._pool = {each.user_id: each for each in kept}
            self._bar = kept[-1].probability

    def top(self, count: int) -> list[Score]:
        """Return the riskiest, riskiest first."""
        if len(self._pool) < count:
            self._bar = -math.inf
        return heapq.nlargest(count, self._pool.values(), key=_probability)


class EventRate:
    """Events per second from the growth of the end offsets."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._seen: deque[tuple[float, int]] = deque(maxlen=RATE_SECONDS + 1)

    def observe(self, at_seconds: float, offsets: int) -> None:
        """Note the sum of the end offsets at a time."""
        self._seen.append((at_seconds, offsets))

    @property
    def per_second(self) -> float | None:
        """Return the mean rate over the observations kept, None with fewer than two."""
        if len(self._seen) < 2:
            return None
        (first, start), (last, end) = self._seen[0], self._seen[-1]
        return max(end - start, 0) / (last - first) if last > first else None


class Pulse:
    """Follows the latest score of every user; one thread only."""

    def __init__(self, max_users: int = MAX_USERS) -> None:
        """Start empty."""
        self._max_users = max_users
        self._bands: dict[str, int] = {}
        self._counts = [0] * len(BANDS)
        self._complete = True
        self._per_second: dict[int, int] = {}
        self._freshness: deque[tuple[int, float]] = deque(maxlen=FRESHNESS_SAMPLES)
        self._riskiest = Riskiest()

    def take(self, score: Score, written_ms: int) -> None:
        """Count a score that Kafka received at `written_ms` since 1970."""
        second = written_ms // 1000
        self._per_second[second] = self._per_second.get(second, 0) + 1
        if score.arrived_at is not None:
            self._freshness.append((second, max(written_ms - to_us(score.arrived_at) / 1000, 0.0)))
        self._count(score.user_id, BANDS.index(score.band) if score.active else None)
        self._riskiest.take(score)

    def view(self, now_ms: int, events: EventRate) -> PulseView:
        """Return what is known at a time; forgets what is older than it is of use."""
        now = now_ms // 1000
        self._per_second = {second: n for second, n in self._per_second.items() if second >= now - RATE_SECONDS}
        # The current second is not over, so it would pull the rate down.
        scored = sum(n for second, n in self._per_second.items() if second < now)
        fresh = sorted(ms for second, ms in self._freshness if second >= now - FRESHNESS_SECONDS)
        return PulseView(
            events_per_second=events.per_second,
            scores_per_second=scored / RATE_SECONDS,
            freshness_p50_ms=quantile(fresh, 0.50),
            freshness_p99_ms=quantile(fresh, 0.99),
            users=len(self._bands),
            users_complete=self._complete,
            users_by_band=dict(zip(BANDS, self._counts, strict=True)),
            riskiest=list(_shown(self._riskiest.top(SHOWN_USERS))),
        )

    def _count(self, user_id: str, band: int | None) -> None:
        before = self._bands.pop(user_id, None)
        if before is not None:
            self._counts[before] -= 1
        if band is None:
            return
        if before is None and len(self._bands) >= self._max_users:
            self._complete = False
            return
        self._bands[user_id] = band
        self._counts[band] += 1


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile of ordered values, None without any.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else None


def _probability(score: Score) -> float:
    return score.probability


def _shown(scores: Iterable[Score]) -> Iterable[RiskyUser]:
    for score in scores:
        yield RiskyUser(score.user_id, score.probability, score.band, score.reasons, score.as_of)
