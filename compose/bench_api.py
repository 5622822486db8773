"""Measures look-ups of the API under a steady load that does not wait for answers.

Each request has an intended time; its latency counts from there, so a server that stalls is charged for everyone who
would have come meanwhile. A loop that sends the next request after the last answer would hide exactly that.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp

# The event loop's timers are good to a millisecond; the rest of the wait is spent asking again.
TIMER_SECONDS = 0.0012
CONNECTIONS = 64
REQUEST_SECONDS = 10.0


@dataclass
class Tally:
    """What came back: latencies in milliseconds of good answers, and a count of everything else by its reason."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    sent_late_ms: list[float] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """Count a request without a good answer."""
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def summary(self, requests_per_second: float, elapsed_seconds: float) -> dict[str, object]:
        """Return the figures; a percentile without any good answer is None."""
        ordered = sorted(self.latencies_ms)
        return {
            "offered_per_second": requests_per_second,
            "answered_per_second": round(len(ordered) / elapsed_seconds, 1),
            "answered": len(ordered),
            "failed": sum(self.failures.values()),
            "failures": dict(self.failures),
            "p50_ms": percentile(ordered, 0.50),
            "p99_ms": percentile(ordered, 0.99),
            "p999_ms": percentile(ordered, 0.999),
            "max_ms": percentile(ordered, 1.0),
            "generator_late_p99_ms": percentile(sorted(self.sent_late_ms), 0.99),
        }


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value below which this share of ordered values lies.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    3.0
    """
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3) if ordered else None


def run(base_url: str, user_ids: Sequence[str], requests_per_second: float, seconds: float) -> dict[str, object]:
    """Look users up at a steady rate and return p50, p99, p99.9 and maximum in ms from the intended send times.

    `generator_late_p99_ms` tells how late this program itself sent: a large one means that the machine, not the API,
    was busy.
    """
    return asyncio.run(_run(base_url.rstrip("/"), user_ids, requests_per_second, seconds))


async def _run(base_url: str, user_ids: Sequence[str], requests_per_second: float, seconds: float) -> dict[str, object]:
    tally = Tally()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=False)
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    paths = [f"{base_url}/users/{quote(user_id, safe='')}" for user_id in user_ids]
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await _warm_up(session, paths)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(requests_per_second * seconds)):
                intended = began + number / requests_per_second
                await _wait_until(intended)
                group.create_task(_ask(session, paths[number % len(paths)], intended, tally))
        return tally.summary(requests_per_second, time.perf_counter() - began)


async def _warm_up(session: aiohttp.ClientSession, paths: Sequence[str]) -> None:
    # Connections are opened before the clock runs: a real client keeps its own.
    ignored = Tally()
    await asyncio.gather(
        *(_ask(session, paths[n % len(paths)], time.perf_counter(), ignored) for n in range(CONNECTIONS))
    )


async def _wait_until(moment: float) -> None:
    left = moment - time.perf_counter()
    if left > TIMER_SECONDS:
        await asyncio.sleep(left - TIMER_SECONDS)
    while time.perf_counter() < moment:
        await asyncio.sleep(0)


async def _ask(session: aiohttp.ClientSession, url: str, intended: float, tally: Tally) -> None:
    tally.sent_late_ms.append(1000 * (time.perf_counter() - intended))
    try:
        async with session.get(url) as answer:
            await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        tally.fail(type(error).__name__)
        return
    if answer.status == 200:
        tally.latencies_ms.append(1000 * (time.perf_counter() - intended))
    else:
        tally.fail(f"status {answer.status}")
