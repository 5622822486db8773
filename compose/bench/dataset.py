"""The data set of many users and a long archive: `churn dataset` in a process of its own, watched from outside."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from compose.bench.archive import Size, write_archive
from compose.bench.plan import DECLARATION, Bench
from compose.progress import Progress

MIB = 1 << 20
KIB_OF_RUSAGE = 1024
EVENTS_ON_A_DAY = 4


def measure(bench: Bench) -> dict[str, Any]:
    """Return seconds, rates and peak memory of one build; its archive and its rows are removed afterwards."""
    folder = bench.stack.folder / "dataset"
    size = Size(bench.sizes.dataset_users, bench.sizes.dataset_days, EVENTS_ON_A_DAY)
    try:
        bench.say(f"dataset: an archive of {size.users:,} users over {size.days} days")
        events = write_archive(folder / "data" / "archive", size, Progress("archive").show)
        bench.say(f"dataset: {events:,} events; now churn dataset")
        return {"users": size.users, "days": size.days, "events": events} | _built(folder, events)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _built(folder: Path, events: int) -> dict[str, Any]:
    figures = folder / "figures.json"
    command = [sys.executable, "-m", "compose", "dataset", "--out", str(folder / "rows"), "--json", str(figures)]
    environment = os.environ | {"CHURN_DATA_DIR": str(folder / "data"), "CHURN_DECLARATION": DECLARATION}
    began = time.monotonic()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  # our own command
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    if child.returncode:
        raise RuntimeError(f"churn dataset ended with {child.returncode}; its message is above")
    told = json.loads(figures.read_text())
    return {
        "archive_mib": _size_mib(folder / "data"),
        "snapshots": len(told["snapshots"]),
        "rows": told["rows"],
        "rows_mib": _size_mib(folder / "rows"),
        "seconds": round(seconds, 1),
        **told["seconds"],
        "events_per_second": round(events / seconds),
        "rows_per_second": round(told["rows"] / seconds),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_rss_mib": round(usage.ru_maxrss * KIB_OF_RUSAGE / MIB),
    }


def _size_mib(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*.parquet")) / MIB, 3)
