"""Events per second of stock Faust with the same work, to compare the stream with."""

import json
import sys
from typing import Any

from compose.bench import stream
from compose.bench.load import Load
from compose.bench.plan import Bench
from compose.local import ROOT
from compose.processes import ChildSpec, wait_until

MOST_SECONDS = 15.0
"""The rate is counted over at most so long; after a minute it is the same (the table lives in memory)."""
START_SECONDS = 60.0


def measure(bench: Bench) -> dict[str, Any]:
    """Return the figures of each load, dated now as in the stream's `live` mode."""
    return {f"{load}_live": _measure(bench, load) for load in bench.sizes.loads}


def _measure(bench: Bench, load: Load) -> dict[str, Any]:
    with bench.fresh(f"bench-stock-{load}") as settings:
        stream.publish(bench, settings, load, "live", bench.sizes.stock_events)
        found = _run(bench)
    rate = round(found["events"] / found["seconds"])
    bench.say(f"stock Faust, {load}: {rate:,} events/s")
    return {
        "events": found["events"],
        "users": bench.sizes.users,
        "load": load,
        "mode": "live",
        "events_per_second": rate,
        "worker_cpu_us_per_event": round(1e6 * found["cpu_seconds"] / found["events"], 1),
    }


def _run(bench: Bench) -> dict[str, Any]:
    stack = bench.stack
    file = stack.folder / "stock.json"
    file.unlink(missing_ok=True)
    argv = (
        sys.executable, "-m", "compose.bench.stock_app", str(bench.sizes.stock_events), str(MOST_SECONDS), str(file),
    )  # fmt: skip
    child = stack.supervisor.start(ChildSpec("stock", argv, stack.log_path("stock"), stack.environment(), cwd=ROOT))

    def finished() -> bool:
        child.check()
        return file.exists()

    wait_until(finished, START_SECONDS + 2 * MOST_SECONDS, "stock Faust has dealt with its events")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
