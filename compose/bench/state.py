"""A worker with much state: how soon it is back after a kill, and what a midnight of all its users costs.

The users' events are dated yesterday, so that the first event of today takes the worker over midnight.
"""

import random
import re
import time
import urllib.request
from typing import Any

import redis

from churn.layout import DAY_US
from churn.settings import Settings
from compose.bench.clock import cpu_seconds, now_us
from compose.bench.feed import feed, publisher_of, random_users
from compose.bench.load import event, user_name
from compose.bench.midnight import Midnight, watching_midnight
from compose.bench.outside import ends
from compose.bench.plan import Bench
from compose.bench.probes import FEATURE, Probes, online_reader, watching
from compose.bench.scale import PATIENCE_SECONDS, publish_everyone, wait_committed
from compose.processes import wait_until
from feature_repo.declared import load

ROLL_RATE = 1_000.0
SAMPLE_USERS = 1_000
BACK_PROBES = 64
"""So many users leave none of four partitions without one."""
AFTER_SECONDS = 2.0


def measure(bench: Bench) -> dict[str, Any]:
    """Return the figures of a recovery and of a day roll with the same users."""
    users = bench.sizes.state_users
    with bench.fresh("bench-state", CHURN_MEMBER_ID="bench") as settings:
        noon_us = now_us() // DAY_US * DAY_US - DAY_US // 2
        bench.stack.start_service("features")
        publish_everyone(bench, settings, users, noon_us)
        wait_committed(bench, settings)
        _wait_rows(bench, users)
        recovery = _recover(bench, settings, noon_us)
        recovery["seconds_to_all_rows_again"] = _wait_rows_again(bench, users)
        return {"users": users, "recovery": recovery, "day_roll": _roll(bench, settings, users)}


def _wait_rows(bench: Bench, users: int) -> None:
    with redis.Redis.from_url(bench.stack.redis.url) as client:
        wait_until(lambda: int(client.dbsize()) >= users, PATIENCE_SECONDS, f"{users:,} rows are in Redis")


def _recover(bench: Bench, settings: Settings, dated_us: int) -> dict[str, Any]:
    """Kill the worker, publish events to every partition, start it, and wait until they show in Redis."""
    bench.stack.supervisor.children["features"].kill()
    probes = [f"back-{number}" for number in range(BACK_PROBES)]
    with publisher_of(settings) as publisher:
        publisher.publish_all(event(user, user, dated_us + 1) for user in probes)
    began = time.perf_counter()
    bench.stack.start_service("features", wait=False)
    first, last = _seen(bench, settings, probes)
    bench.stack.wait_ready("features")
    figures = {
        "seconds_to_first_event": round(first - began, 3),
        "seconds_to_all_partitions": round(last - began, 3),
        "session_timeout_seconds": settings.session_timeout_seconds,
        "of_which_restore_seconds": round(_metric(bench, "churn_restore_seconds"), 3),
    }
    bench.say(f"recovery: first event after {figures['seconds_to_first_event']} s")
    return figures


def _wait_rows_again(bench: Bench, users: int) -> float:
    """Wait until the new owner has written every row once, which it does behind live events; returns the seconds since."""
    began = time.perf_counter()
    wait_until(
        lambda: _metric(bench, "churn_online_rows_total") >= users, PATIENCE_SECONDS, "every row is written again"
    )
    return round(time.perf_counter() - began, 3)


def _seen(bench: Bench, settings: Settings, users: list[str]) -> tuple[float, float]:
    """Return when the first and when the last of these users had their event in Redis."""
    column, at = load(settings.declaration).feature_names.index(FEATURE), dict[str, float]()
    with online_reader(settings) as reader:

        def all_seen() -> bool:
            bench.stack.check()
            for row in reader.read_many([user for user in users if user not in at]):
                if row.features is not None and row.features[column] == 1:
                    at[row.user_id] = time.perf_counter()
            return len(at) == len(users)

        wait_until(all_seen, PATIENCE_SECONDS, "events behind the restart show in Redis")
    return min(at.values()), max(at.values())


def _metric(bench: Bench, name: str) -> float:
    """Return the largest of a worker's metric over its labels; how long the slowest partition took to load, for one."""
    with urllib.request.urlopen(bench.stack.url("features") + "/metrics", timeout=5) as answer:  # noqa: S310  our own http url
        text = answer.read().decode()
    return max(map(float, re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)), default=0.0)


def _cpu_seconds(bench: Bench) -> dict[str, float]:
    stack = bench.stack
    children = {"worker": stack.supervisor.children["features"], "redis": stack.redis.child, "kafka": stack.kafka.child}
    return {name: cpu_seconds(child.pid) for name, child in children.items() if child}


def _roll(bench: Bench, settings: Settings, users: int) -> dict[str, Any]:
    """Feed events of today, of which the first takes every partition over midnight, until all of it is out."""
    names = [user_name(number) for number in range(users)]
    sample = random.Random(7).sample(names, min(users, SAMPLE_USERS))  # noqa: S311  a fixed choice is wanted
    probes, starts, cpu_before = Probes(scored=False), ends(settings), _cpu_seconds(bench)
    midnight = Midnight(users + BACK_PROBES, set(sample), now_us() // DAY_US * DAY_US)
    with watching(settings, probes), watching_midnight(settings, midnight):
        began_us = now_us()

        def goes_on(spent_seconds: float) -> bool:
            bench.stack.check()
            out_us = max(midnight.topic_us, midnight.redis_us) if midnight.done else now_us()
            return now_us() - out_us < 1e6 * AFTER_SECONDS and spent_seconds < PATIENCE_SECONDS

        published = feed(settings, random_users(names), ROLL_RATE, probes, goes_on)
        wait_until(lambda: not probes.waiting(), PATIENCE_SECONDS, "every probe has features in Redis")
    cpu = {name: round(spent - cpu_before[name], 2) for name, spent in _cpu_seconds(bench).items()}
    found = probes.figures(probes.arrivals(settings, starts))
    bench.say(f"day roll: in Redis after {(midnight.redis_us - began_us) / 1e6:.1f} s")
    return {
        "rows_on_topic": midnight.rows,
        "seconds_to_topic": round((midnight.topic_us - began_us) / 1e6, 3),
        "seconds_to_redis": round((midnight.redis_us - began_us) / 1e6, 3),
        "cpu_seconds": cpu,
        "live_events": published,
        "longest_live_hold_up_ms": found["arrival_to_features_max_ms"],
        "live_arrival_to_features_p99_ms": found["arrival_to_features_p99_ms"],
        "live_arrival_to_features_p50_ms": found["arrival_to_features_p50_ms"],
    }
