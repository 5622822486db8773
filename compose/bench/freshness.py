"""How soon an event shows: from its arrival in Kafka to features that can be read in Redis, and to a score.

Two ways that do not lean on each other. Every score carries when its oldest event arrived and when it was emitted; a
consumer outside notes when it received it. Beside that, probes: new users with one event each, whom a reader of
the online store asks for until their row and their score are there; their arrival is read from Kafka afterwards.
"""

import time
from typing import Any

from compose.bench.clock import now_us
from compose.bench.feed import feed, publisher_of, random_users
from compose.bench.load import event
from compose.bench.outside import ends, receiving, score_figures
from compose.bench.probes import Probes, watching
from compose.bench.served import Served
from compose.processes import wait_until

WARM_UP_SECONDS = 3.0
LAST_SECONDS = 120.0
BURST_PROBES = 100
BURST_PROBE_SECONDS = 0.02


def measure(served: Served) -> dict[str, Any]:
    """Return percentiles in milliseconds at each steady rate of events of random users, and after a burst of them."""
    sizes = served.bench.sizes
    steady = {f"rate_{rate:.0f}": _at_rate(served, rate) for rate in sizes.freshness_rates}
    return steady | ({"burst": _after_burst(served, sizes.burst_events)} if sizes.burst_events else {})


def _at_rate(served: Served, rate: float) -> dict[str, Any]:
    settings, probes, starts = served.settings, Probes(), ends(served.settings)
    whole_seconds = WARM_UP_SECONDS + served.bench.sizes.freshness_seconds
    with receiving(settings) as received, watching(settings, probes):
        cpu_before, began, began_us = served.cpu_seconds(), time.perf_counter(), now_us()
        users = random_users(served.users)
        published = feed(settings, users, rate, probes, lambda spent: spent < whole_seconds, WARM_UP_SECONDS)
        seconds, cpu = time.perf_counter() - began, served.cpu_seconds()
        _wait_shown(probes)
    arrived = probes.arrivals(settings, starts)
    figures = {
        "offered_events_per_second": rate,
        "published_events_per_second": round(published / whole_seconds, 1),
        "probes": len(arrived),
        **probes.figures(arrived),
        **score_figures(received, began_us + int(1e6 * WARM_UP_SECONDS)),
        "cpu_cores": {name: round((spent - cpu_before[name]) / seconds, 3) for name, spent in cpu.items()},
    }
    _say(served, f"{rate:,.0f} events/s", figures)
    return figures


def _after_burst(served: Served, count: int) -> dict[str, Any]:
    """Publish many events at once, then probes: how long do users wait whose events come behind the burst?"""
    settings, probes, starts = served.settings, Probes(), ends(served.settings)
    users, now = random_users(served.users), now_us()
    burst = [event(next(users), f"burst-{now:x}-{number:x}", now, number) for number in range(count)]
    with watching(settings, probes), publisher_of(settings) as publisher:
        began = time.perf_counter()
        publisher.publish_all(burst)
        publisher.flush()
        seconds = time.perf_counter() - began
        for _ in range(BURST_PROBES):
            probes.send(publisher)
            publisher.flush()
            time.sleep(BURST_PROBE_SECONDS)
        _wait_shown(probes)
    figures = {
        "events": count,
        "publish_seconds": round(seconds, 3),
        "probes": len(probes.sent_us),
        **probes.figures(probes.arrivals(settings, starts)),
    }
    _say(served, f"behind {count:,} events at once", figures)
    return figures


def _wait_shown(probes: Probes) -> None:
    wait_until(lambda: not probes.waiting(), LAST_SECONDS, "every probe has features and a score in Redis")


def _say(served: Served, when: str, figures: dict[str, Any]) -> None:
    features, scores = figures["arrival_to_features_p99_ms"], figures["arrival_to_stored_score_p99_ms"]
    served.bench.say(f"freshness, {when}: features p99 {features} ms, stored scores p99 {scores} ms")
