"""The clocks of measurements, wall and CPU, and percentiles of delays."""

import time
from collections.abc import Sequence

import psutil

from compose.bench_api import percentile


def now_us() -> int:
    """Return the wall clock in microseconds, the clock of Kafka's timestamps."""
    return time.time_ns() // 1000


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process has used so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def percentiles(name: str, delays_us: Sequence[int]) -> dict[str, float | None]:
    """Return the median, the 99th percentile and the longest of delays, in milliseconds.

    >>> percentiles("wait", [1000, 3000])["wait_max_ms"]
    3.0
    """
    ordered = sorted(delay / 1000 for delay in delays_us)
    return {
        f"{name}_p50_ms": percentile(ordered, 0.50),
        f"{name}_p99_ms": percentile(ordered, 0.99),
        f"{name}_max_ms": percentile(ordered, 1.0),
    }
