"""What a user costs the features worker: CPU per event and memory, with few users and with many."""

from contextlib import closing
from typing import Any

import psutil

from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY
from compose.bench import stream
from compose.bench.clock import now_us
from compose.bench.load import everyone
from compose.bench.plan import PATIENT, Bench
from compose.processes import wait_until
from compose.waiting import Lag
from producers.publisher import Publisher

PATIENCE_SECONDS = 900.0


def measure(bench: Bench) -> dict[str, Any]:
    """Return the figures for each number of users."""
    return {f"users_{users}": _measure(bench, users) for users in bench.sizes.scale_users}


def _measure(bench: Bench, users: int) -> dict[str, Any]:
    """Give everybody one event, look at the memory, then spend CPU on events of random ones of them."""
    count = bench.sizes.scale_events
    with bench.fresh(f"bench-scale-{users}", **PATIENT) as settings:
        child = bench.stack.start_service("features")
        process = psutil.Process(child.pid)
        bytes_before = process.memory_info().rss
        publish_everyone(bench, settings, users)
        wait_committed(bench, settings)
        bytes_after = process.memory_info().rss
        child.freeze()
        stream.publish(bench, settings, "uniform", "live", count, users)
        cpu_before = sum(process.cpu_times()[:2])
        child.thaw()
        wait_committed(bench, settings)
        cpu_seconds = sum(process.cpu_times()[:2]) - cpu_before
    cpu_us, per_user = round(1e6 * cpu_seconds / count, 2), round((bytes_after - bytes_before) / users)
    bench.say(f"scale, {users:,} users: {cpu_us} us of CPU an event, {per_user:,} bytes a user")
    return {
        "users": users,
        "events": count,
        "worker_cpu_us_per_event": cpu_us,
        "worker_rss_bytes_per_user": per_user,
        "worker_rss_mib": round(bytes_after / (1 << 20)),
    }


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
