"""Whether a training goes on is told by its lock."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from compose.processes import wait_until
from training.loop.runs import Order, Runs

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LEAVES_ONE = ["sh", "-c", "sleep 60 & echo $!"]


def test_a_run_goes_on_as_long_as_any_process_of_it_lives(tmp_path: Path) -> None:
    runs, log = Runs(tmp_path, lambda _: LEAVES_ONE), tmp_path / "r-1.log"
    assert runs.start(Order("r-1", "ann", "to see", NOW, tmp_path / "r-1.json"))
    wait_until(lambda: log.read_text().endswith("\n"), 10, "the process has told what it leaves behind")
    left = int(log.read_text())
    try:
        assert runs.going_on()
        assert not Runs(tmp_path, lambda _: LEAVES_ONE).start(Order("r-2", "ann", "", NOW, tmp_path / "r-2.json"))
    finally:
        os.kill(left, signal.SIGKILL)
    wait_until(lambda: not runs.going_on(), 10, "the last process of the run is gone")
    assert runs.ended("r-1").code == 0
