"""A steady stream of live events with probes in between."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY
from compose.bench.clock import now_us
from compose.bench.load import chosen_users, event
from compose.bench.probes import Probes
from producers.publisher import Publisher

PROBE_EVERY_SECONDS = 0.05
SLICE_SECONDS = 0.01
LINGER = {"linger.ms": 2}
"""Finer slices and batches cost this process and Kafka as much as the system that is measured: 0.9 of two cores."""


def publisher_of(settings: Settings) -> Publisher:
    """Return a publisher that does not wait for a batch to fill."""
    return Publisher({**client_config(settings), **LINGER}, ACTIVITY.name(settings.topic_prefix))


def random_users(users: Sequence[str]) -> Iterator[str]:
    """Yield users for ever; every one is as likely as any other, which touches most users and so is the heaviest load."""
    return cycle([users[number] for number in chosen_users("uniform", len(users), 100_000, 7)])


def feed(
    settings: Settings,
    users: Iterator[str],
    rate: float,
    probes: Probes,
    goes_on: Callable[[float], bool],
    probes_from_seconds: float = 0.0,
) -> int:
    """Publish `rate` events a second while `goes_on` (given the seconds so far); return how many, probes included.

    Probes come every 50 ms, but never more often than events.
    """
    run, done, every = f"{now_us():x}", 0, max(PROBE_EVERY_SECONDS, 1.0 / rate)
    next_probe = probes_from_seconds
    with publisher_of(settings) as publisher:
        began = time.perf_counter()
        while goes_on(spent := time.perf_counter() - began):
            while done < spent * rate:
                publisher.publish(*event(next(users), f"{run}-{done:x}", now_us(), done))
                done += 1
            if spent >= next_probe:
                next_probe += every
                probes.send(publisher)
            publisher.poll()
            time.sleep(SLICE_SECONDS)
    return done + len(probes.sent_us)
