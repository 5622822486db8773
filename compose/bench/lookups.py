"""Latency of GET /users/{id} on the running API."""

from typing import Any

from compose import bench_api
from compose.bench.served import Served

MOST_USERS = 10_000


def measure(served: Served) -> dict[str, Any]:
    """Ask at a steady rate that does not wait for answers; latencies count from the intended times."""
    sizes = served.bench.sizes
    url = served.bench.stack.url("api")
    figures = bench_api.run(url, served.users[:MOST_USERS], sizes.api_rate, sizes.api_seconds)
    served.bench.say(f"API: p50 {figures['p50_ms']} ms, p99 {figures['p99_ms']} ms, {figures['failed']} failed")
    return figures
