"""Where a measurement was made: without it a figure says nothing."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil
import redis

from compose import bootstrap

GIB = 1 << 30


def describe(redis_url: str) -> dict[str, Any]:
    """Return the machine, the versions of the parts, and the load average before anything was measured."""
    with redis.Redis.from_url(redis_url) as client:
        redis_version = client.info("server")["redis_version"]
    return {
        "cpu_count": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "ram_gib": round(psutil.virtual_memory().total / GIB, 1),
        "system": platform.platform(terse=True),
        "python_version": platform.python_version(),
        "kafka_version": _kafka_version(bootstrap.kafka_jars()),
        "redis_version": redis_version,
        "load_average_1_minute": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _kafka_version(jars: Path) -> str:
    # kafka-clients-4.1.1.jar
    found = sorted(path.stem.rpartition("-")[2] for path in jars.glob("kafka-clients-*.jar"))
    return found[-1] if found else "unknown"
