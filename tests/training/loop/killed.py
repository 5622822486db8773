"""A program of the tests: a keeper in a process of its own for each line of its input, killed where the line says.

Lines are what is to happen and what to wait for in the audit log: `EVENT STEP:COUNT`. An event is `-` (nothing), a fault
point, or one of EVENTS. The keeper is the worker's own, with its own trainings. This program imports once and forks, as
MLflow takes seconds. Its answer is a line for each: how the process ended.
"""

import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable

import psutil

from churn.fault_points import arm
from churn.settings import Settings
from compose.environment import read_settings
from compose.processes import wait_until
from compose.workers import build_keeper
from feature_repo.instruments import Instruments
from tests.training.loop.kept import steps
from training.loop.keeper import Keeper

DEADLINE_SECONDS = 60.0
CLOCK = "churn_keeper_clock_seconds"


def main() -> None:
    """Answer line by line."""
    for name in ("model_registry", "tracking"):
        importlib.import_module(f"mlflow.store.{name}.sqlalchemy_store")
    settings = read_settings(os.environ)
    for line in sys.stdin:
        event, wanted = line.split()
        pid = os.fork()
        if pid == 0:
            keep(settings, event, wanted)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print("killed" if os.waitstatus_to_exitcode(status) == -signal.SIGKILL else f"ended {status}", flush=True)


def keep(settings: Settings, event: str, wanted: str) -> None:
    """Run a keeper until the audit log holds a step so many times, and nothing is under way."""
    arm(event if event.startswith("keeper.") else "", die)
    keeper = build_keeper(settings, Instruments("keeper"))
    stop = threading.Event()
    threading.Thread(target=watch, args=(settings, keeper, event, wanted, stop)).start()
    keeper.run(stop)


def watch(settings: Settings, keeper: Keeper, event: str, wanted: str, stop: threading.Event) -> None:
    """Let the event happen, and stop the keeper when it is done."""
    step, count = wanted.split(":")
    try:
        if event in EVENTS:
            EVENTS[event](settings, keeper)
        wait_until(lambda: quiet(keeper) and steps(settings).count(step) >= int(count), DEADLINE_SECONDS, wanted)
    finally:
        stop.set()


def quiet(keeper: Keeper) -> bool:
    """Tell whether nothing is under way."""
    state = keeper.state
    return not state.notes and state.rollback is None and state.triggers.attempt is None


def die() -> None:
    """End this process as a kill does."""
    os.kill(os.getpid(), signal.SIGKILL)


def trainings(settings: Settings) -> list[psutil.Process]:
    """Return the trainings of a data folder that are there, whoever started them."""
    mine = str(settings.models_dir / "keeper" / "runs")
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []  # a process that has ended and is not waited for has none
        if "train" in words and any(word.startswith(mine) for word in words):
            found.append(process)
    return found


def in_the_middle(settings: Settings) -> psutil.Process:
    """Wait until a training reads the archive or learns, and return it."""
    lock = settings.models_dir / "training.lock"

    def found() -> list[psutil.Process]:
        holder = re.search(r"pid (\d+)", lock.read_text()) if lock.exists() else None
        return [each for each in trainings(settings) if holder and each.pid == int(holder[1])]

    wait_until(lambda: bool(found()), DEADLINE_SECONDS, "a training is in the middle of its work")
    return found()[0]


def kill_the_training(settings: Settings, _: Keeper) -> None:
    """SIGKILL the training alone."""
    in_the_middle(settings).kill()


def leave_an_orphan(settings: Settings, _: Keeper) -> None:
    """Freeze the training, so that it is there as long as it is wanted, and die."""
    in_the_middle(settings).suspend()
    die()


def look_and_die(_: Settings, keeper: Keeper) -> None:
    """Die when a later midnight was dealt with: a keeper that would begin a second training has begun it by then."""
    before = keeper.state.clock_us / 1e6
    told = keeper.instruments.registry.get_sample_value
    wait_until(lambda: (told(CLOCK, {}) or 0.0) > before, DEADLINE_SECONDS, "time has moved on")
    die()


def wake_the_orphan(settings: Settings, _: Keeper) -> None:
    """Let the frozen training go on."""
    trainings(settings)[0].resume()


EVENTS: dict[str, Callable[[Settings, Keeper], None]] = {
    "kill-training": kill_the_training,
    "orphan": leave_an_orphan,
    "look": look_and_die,
    "keeper.concluded": wake_the_orphan,
}

if __name__ == "__main__":
    main()
