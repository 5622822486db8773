"""Events per second of two features workers of one consumer group, and what an event costs them together."""

import time
from typing import Any

from churn.settings import Settings
from churn.topics import ACTIVITY
from compose.bench.clock import cpu_seconds
from compose.bench.load import Load
from compose.bench.plan import PATIENT, Bench
from compose.bench.stream import DONE_SECONDS, Sample, publish, rate_figures
from compose.processes import Child, wait_until
from compose.waiting import Lag

WORKERS = ("features", "features-2")


def measure(bench: Bench) -> dict[str, Any]:
    """Return the figures of every load, by `load_live`."""
    return {f"{load}_live": measure_one(bench, load) for load in bench.sizes.loads}


def measure_one(bench: Bench, load: Load) -> dict[str, Any]:
    """Return the figures of one load; both workers own partitions before its first event is published."""
    with bench.fresh(f"bench-{load}-pair", **PATIENT) as settings:
        children = [bench.stack.start_service("features", name) for name in WORKERS]
        for child in children:
            child.freeze()
        publish(bench, settings, load, "live", bench.sizes.events)
        samples, spent = _run(settings, children)
    figures = {"workers": len(children), **rate_figures(samples, sum(spent))}
    figures["busiest_worker_share"] = round(max(spent) / max(sum(spent), 1e-9), 3)
    bench.say(f"pair, {load}: {figures['events_per_second']:,.0f} events/s")
    return figures


def _run(settings: Settings, children: list[Child]) -> tuple[list[Sample], list[float]]:
    lag = Lag(settings, "features", ACTIVITY)
    try:
        end, before = lag.ends(), [cpu_seconds(child.pid) for child in children]
        samples = [Sample(time.perf_counter(), 0)]
        for child in children:
            child.thaw()

        def all_committed() -> bool:
            for child in children:
                child.check()
            samples.append(Sample(time.perf_counter(), lag.done()))
            return samples[-1].committed >= end

        wait_until(all_committed, DONE_SECONDS, f"all {end:,} events are committed")
        return samples, [cpu_seconds(child.pid) - spent for child, spent in zip(children, before, strict=True)]
    finally:
        lag.close()
