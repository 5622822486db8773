"""A program of the tests: a keeper in a process of its own for each line of its input, killed at a point if one is named.

Lines are `POINT` (or `-`) and what to wait for in the audit log: `STEP:COUNT`. It imports once and forks, as MLflow takes
seconds. Its answer is a line for each: how the process ended.
"""

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from churn.fault_points import arm
from churn.settings import Settings
from feature_repo.declared import load
from feature_repo.instruments import Instruments
from tests.training.loop.kept import steps, steward
from training.loop.keeper import Keeper
from training.loop.runs import Order

DECLARATION = Path(__file__).resolve().parents[3] / "feature_repo" / "declarations" / "elearning.yaml"
DEADLINE_SECONDS = 30.0
TRAINING = """
import os, sqlite3, sys, time
folder, run = sys.argv[1:]
with open(f"{folder}/trainings", "a") as log:
    print("twice at once" if os.path.exists(f"{folder}/training") else "training", file=log)
open(f"{folder}/training", "w").close()
time.sleep(0.4)
with sqlite3.connect(f"{folder}/mlflow.db") as registry:
    registry.execute("insert into model_version_tags (key, value, name, version) values ('run_id', ?, 'churn', 2)", (run,))
os.unlink(f"{folder}/training")
"""
"""Takes the place of a training: a version registered beforehand gets the run's name, as if it had been trained now."""


def main(bootstrap_servers: str, topic_prefix: str, folder: str) -> None:
    """Answer line by line."""
    for name in ("model_registry", "tracking"):
        importlib.import_module(f"mlflow.store.{name}.sqlalchemy_store")
    settings = Settings(
        kafka_bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix, partitions=1, data_dir=Path(folder),
        time_source="events",
    )  # fmt: skip
    for line in sys.stdin:
        point, wanted = line.split()
        pid = os.fork()
        if pid == 0:
            keep(settings, "" if point == "-" else point, wanted)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print("killed" if os.waitstatus_to_exitcode(status) == -signal.SIGKILL else f"ended {status}", flush=True)


def keep(settings: Settings, point: str, wanted: str) -> None:
    """Run a keeper until the audit log holds a step so many times, and nothing is under way."""

    def command(order: Order) -> Sequence[str]:
        return [sys.executable, "-c", TRAINING, str(settings.data_dir), order.run]

    arm(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    keeper = Keeper(settings, load(DECLARATION), Instruments("keeper"), steward(settings), command, lambda: 0)
    stop = threading.Event()
    threading.Thread(target=watch, args=(settings, keeper, wanted, stop)).start()
    keeper.run(stop)


def watch(settings: Settings, keeper: Keeper, wanted: str, stop: threading.Event) -> None:
    """Stop the keeper when it is done."""
    step, count = wanted.split(":")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        state = keeper.state
        quiet = not state.notes and state.rollback is None and state.triggers.attempt is None
        if quiet and steps(settings).count(step) >= int(count):
            break
        time.sleep(0.02)
    stop.set()


if __name__ == "__main__":
    main(*sys.argv[1:])
