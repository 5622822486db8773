"""Events per second of the whole stream path: preloaded topics, the real features worker, until all is committed.

`live` events are dated now: every 50 ms the vectors of all touched users go to the features topic and to Redis, so
this is the path with emission. `replay` events are dated on past days: vectors are held back until the end is reached
(readers must not see sums climb from zero), except for those of each midnight.
"""

import time
from dataclasses import dataclass
from typing import Any

import redis

from churn.kafka_config import client_config
from churn.layout import DAY_US
from churn.settings import Settings
from churn.topics import ACTIVITY
from compose.bench.clock import cpu_seconds
from compose.bench.load import Load, Mode, events
from compose.bench.plan import Bench
from compose.local import answers_ok
from compose.processes import wait_until
from compose.waiting import Lag
from producers.publisher import Publisher

REPLAY_DAYS = 3
"""A replay covers this many past days, the last one well before today."""
READY_SECONDS, DONE_SECONDS = 120.0, 600.0


@dataclass(frozen=True)
class Sample:
    """Records committed and CPU spent at one time."""

    at_seconds: float
    committed: int


def measure(bench: Bench) -> dict[str, Any]:
    """Return the figures of every load and mode, by `load_mode`."""
    sizes = bench.sizes
    return {f"{load}_{mode}": measure_one(bench, load, mode) for mode in sizes.modes for load in sizes.loads}


def measure_one(bench: Bench, load: Load, mode: Mode) -> dict[str, Any]:
    """Return the figures of one load in one mode."""
    with bench.fresh(f"bench-{load}-{mode}") as settings:
        publish(bench, settings, load, mode, bench.sizes.events)
        samples, spent = _run_worker(bench, settings)
        figures = rate_figures(samples, spent) | {"rows_in_redis": rows_in_redis(bench)}
    bench.say(f"stream, {load}, {mode}: {figures['events_per_second']:,.0f} events/s")
    return {"events": bench.sizes.events, "users": bench.sizes.users, "load": load, "mode": mode, **figures}


def publish(bench: Bench, settings: Settings, load: Load, mode: Mode, count: int, users: int = 0) -> None:
    """Fill the activity topic with events of as many users as the sizes say, or as are given."""
    users = users or bench.sizes.users
    bench.say(f"publishing {count:,} {load} events of {users:,} users, {mode}")
    now_us = time.time_ns() // 1000
    start_us, until_us = (now_us - 1_000_000, now_us) if mode == "live" else _past_days(now_us)
    with Publisher(client_config(settings), ACTIVITY.name(settings.topic_prefix)) as publisher:
        publisher.publish_all(events(load, users, count, start_us, until_us))


def _past_days(now_us: int) -> tuple[int, int]:
    today = now_us // DAY_US
    return (today - 2 - REPLAY_DAYS) * DAY_US, (today - 2) * DAY_US - 1


def _run_worker(bench: Bench, settings: Settings) -> tuple[list[Sample], float]:
    child = bench.stack.start_service("features", wait=False)
    lag = Lag(settings, "features", ACTIVITY)
    try:
        end, samples = lag.ends(), [Sample(_wait_started(bench), 0)]
        cpu_before = cpu_seconds(child.pid)

        def all_committed() -> bool:
            child.check()
            samples.append(Sample(time.perf_counter(), lag.done()))
            return samples[-1].committed >= end

        wait_until(all_committed, DONE_SECONDS, f"all {end:,} events are committed")
        return samples, cpu_seconds(child.pid) - cpu_before
    finally:
        lag.close()


def _wait_started(bench: Bench) -> float:
    """Return the last time at which the worker was not ready yet: it owns partitions just after, then fetches."""
    address = bench.stack.url("features") + "/ready"
    asked = [time.perf_counter()]

    def ready() -> bool:
        bench.stack.supervisor.check()
        before = time.perf_counter()
        if answers_ok(address):
            return True
        asked[0] = before
        return False

    wait_until(ready, READY_SECONDS, "the features worker is ready")
    return asked[0]


def rate_figures(samples: list[Sample], cpu_spent: float) -> dict[str, Any]:
    """Return rates from samples of what was committed, the first at the start, and the CPU that it took."""
    first, last = samples[0], samples[-1]
    seconds = last.at_seconds - first.at_seconds
    return {
        "seconds_to_commit": round(seconds, 2),
        "events_per_second": round(last.committed / seconds),
        "steady_events_per_second": round(_steady(samples)),
        "worker_cpu_us_per_event": round(1e6 * cpu_spent / last.committed, 2),
    }


def _steady(samples: list[Sample]) -> float:
    """Return the rate between the first and the last commit, both of which lag behind the work alike.

    With a single commit that is the rate from the start.
    """
    last = samples[-1]
    moved = [sample for sample in samples if 0 < sample.committed < last.committed]
    first = moved[0] if moved else samples[0]
    return (last.committed - first.committed) / (last.at_seconds - first.at_seconds)


def rows_in_redis(bench: Bench) -> int:
    """Return how many users have a row; fences of partitions are not users."""
    with redis.Redis.from_url(bench.stack.redis.url) as client:
        fences = sum(1 for _ in client.scan_iter("*:fence:*", count=10_000))
        return int(client.dbsize()) - fences
