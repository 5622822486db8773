"""Events per second, CPU and memory of each peer on a preloaded topic, beside the whole stream on the same load.

A peer is started and answers a first marker, so that imports and joining the group do not count; it is frozen while the
load and the last markers are published, and the clock runs from its thaw until the rows of the last markers are there.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from churn.errors import OutageError
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES
from compose.bench import stream
from compose.bench.load import Load
from compose.bench.peers.environments import PEERS, Peer, interpreter, versions
from compose.bench.peers.job import Job
from compose.bench.peers.markers import Markers
from compose.bench.plan import Bench
from compose.local import ROOT
from compose.processes import Child, ChildSpec

START_SECONDS, DONE_SECONDS = 60.0, 300.0
MIB = 1 << 20


@dataclass
class Usage:
    """CPU and memory of a process and those it started."""

    child: Child
    peak_bytes: int = 0

    def cpu_seconds(self) -> float:
        """Return what they have spent so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._tree())

    def look(self) -> None:
        """Raise if the process ended; else remember its memory."""
        self.child.check()
        self.peak_bytes = max(self.peak_bytes, sum(process.memory_info().rss for process in self._tree()))

    def _tree(self) -> list[psutil.Process]:
        process = psutil.Process(self.child.pid)
        return [process, *process.children(recursive=True)]


def measure(bench: Bench, ours: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return figures, versions and ratios; `ours` are figures of the stream by `load_live`, measured here if missing."""
    ours = {name: row for name, row in ours.items() if name.endswith("_live")}
    ours = ours or {f"{load}_live": stream.measure_one(bench, load, "live") for load in bench.sizes.loads}
    found: dict[str, dict[str, Any]] = {"versions": {}, "skipped": {}, "stream": dict(ours), "ratio": {}}
    for peer in [peer for peer in PEERS if peer.name in bench.sizes.peers]:
        try:
            python = interpreter(peer, bench.stack.folder.parent / "peers")
            found["versions"][peer.name] = versions(peer, python)
            found[peer.name] = {f"{load}_live": _measure(bench, peer, python, load) for load in bench.sizes.loads}
        except OutageError as error:
            bench.say(f"{peer.name} is skipped: {error}")
            found["skipped"][peer.name] = str(error)
    measured = {name: figures for name, figures in found.items() if name in bench.sizes.peers}
    found["ratio"] = {name: ratios(ours, figures) for name, figures in measured.items()}
    return {name: figures for name, figures in found.items() if figures}


def ratios(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    """Return per load how many times as many events the stream does in a second, and for the same CPU of its worker."""
    found: dict[str, float] = {}
    for name in [name for name in theirs if name in ours]:
        our, their = ours[name], theirs[name]
        found[name] = round(our["events_per_second"] / their["events_per_second"], 2)
        found[f"{name}_by_cpu"] = round(their["worker_cpu_us_per_event"] / our["worker_cpu_us_per_event"], 2)
    return found


def _measure(bench: Bench, peer: Peer, python: Path, load: Load) -> dict[str, Any]:
    events = int(getattr(bench.sizes, peer.load))
    with bench.fresh(f"bench-{peer.name}-{load}") as settings, closing(Markers(settings)) as markers:
        usage = Usage(_start(bench, settings, peer, python))
        markers.send("first")
        markers.wait(0, START_SECONDS, usage.look)
        usage.child.freeze()
        stream.publish(bench, settings, load, "live", events)
        markers.send("last")
        rows_before, cpu_before, began = markers.rows, usage.cpu_seconds(), time.perf_counter()
        usage.child.thaw()
        markers.wait(rows_before + events if peer.row_an_event else 0, DONE_SECONDS, usage.look)
        seconds, cpu_seconds = time.perf_counter() - began, usage.cpu_seconds() - cpu_before
    bench.say(f"{peer.name}, {load}: {events / seconds:,.0f} events/s")
    return {
        "events": events,
        "users": bench.sizes.users,
        "state_in": peer.keeps,
        "rows": markers.rows - rows_before,
        "seconds": round(seconds, 3),
        "events_per_second": round(events / seconds),
        "worker_cpu_seconds": round(cpu_seconds, 2),
        "worker_cpu_us_per_event": round(1e6 * cpu_seconds / events, 2),
        "peak_rss_mib": round(usage.peak_bytes / MIB),
    }


def _start(bench: Bench, settings: Settings, peer: Peer, python: Path) -> Child:
    stack, folder = bench.stack, bench.stack.folder / settings.topic_prefix
    folder.mkdir(parents=True, exist_ok=True)
    prefix, servers = settings.topic_prefix, settings.kafka_bootstrap_servers
    job = Job(servers, ACTIVITY.name(prefix), FEATURES.name(prefix), str(folder), str(settings.partitions))
    argv = (str(python), "-m", f"compose.bench.peers.{peer.program}", *job.arguments())
    return stack.supervisor.start(ChildSpec(peer.name, argv, stack.log_path(peer.name), stack.environment(), cwd=ROOT))
