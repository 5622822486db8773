"""What a user costs the features worker: CPU per event and memory, with few users and with many."""

import uuid
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import psutil

from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY
from compose.bench import stream
from compose.bench.clock import cpu_seconds, now_us
from compose.bench.load import chosen_users, event, everyone, user_name
from compose.bench.plan import PATIENT, Bench
from compose.processes import Child, wait_until
from compose.waiting import Lag
from producers.publisher import Publisher

PATIENCE_SECONDS = 900.0
ACTIVE_USERS = 10_000
"""Of these the same events change as many vectors, whatever their number among all; events of everybody change more."""


def measure(bench: Bench) -> dict[str, Any]:
    """Return the figures for each number of users."""
    return {f"users_{users}": _measure(bench, users) for users in bench.sizes.scale_users}


def _measure(bench: Bench, users: int) -> dict[str, Any]:
    """Give everybody one event, look at the memory, then spend CPU on events of a fixed number, and of all of them."""
    count = bench.sizes.scale_events
    with bench.fresh(f"bench-scale-{users}", **PATIENT) as settings:
        child = bench.stack.start_service("features")
        process = psutil.Process(child.pid)
        bytes_before = process.memory_info().rss
        publish_everyone(bench, settings, users)
        wait_committed(bench, settings)
        bytes_after = process.memory_info().rss
        cpu_us = _cpu_us(bench, settings, child, partial(_publish_few, bench, settings, users, count), count)
        everybody = partial(stream.publish, bench, settings, "uniform", "live", count, users)
        uniform_cpu_us = _cpu_us(bench, settings, child, everybody, count)
    per_user = round((bytes_after - bytes_before) / users)
    bench.say(f"scale, {users:,} users: {cpu_us} us of CPU an event, {per_user:,} bytes a user")
    return {
        "users": users,
        "events": count,
        "worker_cpu_us_per_event": cpu_us,
        "worker_cpu_us_per_event_of_all": uniform_cpu_us,
        "worker_rss_bytes_per_user": per_user,
        "worker_rss_mib": round(bytes_after / (1 << 20)),
    }


def _cpu_us(bench: Bench, settings: Settings, child: Child, publish: Callable[[], None], count: int) -> float:
    """Publish events while the worker is frozen; returns the CPU that it then spends on each."""
    child.freeze()
    publish()
    cpu_before = cpu_seconds(child.pid)
    child.thaw()
    wait_committed(bench, settings)
    return round(1e6 * (cpu_seconds(child.pid) - cpu_before) / count, 2)


def _publish_few(bench: Bench, settings: Settings, users: int, count: int) -> None:
    """Publish events of the same number of users whatever all of them are, so that as many rows change in each run."""
    chosen = np.random.default_rng(7).choice(users, min(users, ACTIVE_USERS), replace=False)
    bench.say(f"publishing {count:,} events of {len(chosen):,} among {users:,} users")
    run, start_us = uuid.uuid4().hex[:8], now_us() - 1_000_000
    places = enumerate(chosen_users("uniform", len(chosen), count, 3).tolist())
    with Publisher(client_config(settings), ACTIVITY.name(settings.topic_prefix)) as publisher:
        publisher.publish_all(event(user_name(int(chosen[p])), f"{run}-{n:x}", start_us + n, n) for n, p in places)


def publish_everyone(bench: Bench, settings: Settings, users: int, until_us: int = 0) -> None:
    """Publish one event of every user, the last dated at a time, now unless told."""
    bench.say(f"publishing one event of each of {users:,} users")
    until_us = until_us or now_us()
    with Publisher(client_config(settings), ACTIVITY.name(settings.topic_prefix)) as publisher:
        publisher.publish_all(everyone(users, until_us - 1_000_000, until_us))


def wait_committed(bench: Bench, settings: Settings) -> None:
    """Wait until the features worker has committed every event."""
    with closing(Lag(settings, "features", ACTIVITY)) as lag:
        end = lag.ends()

        def all_committed() -> bool:
            bench.stack.check()
            return lag.done() >= end

        wait_until(all_committed, PATIENCE_SECONDS, f"all {end:,} events are committed")
