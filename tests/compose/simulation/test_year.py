"""A few simulated days through the real components."""

import math
from datetime import date
from pathlib import Path

import psutil
import pytest

from compose.simulation.schedule import Episode, Plan
from compose.simulation.year import Told, run

# About 40 s on two free cores.
pytestmark = pytest.mark.timeout(400)

TODAY = date(2026, 11, 1)
PLAN = Plan(users=300, days=8, warm_up=100, seed=1, episodes=(Episode("payment-outage", 2),))
"""The champion is five days old within it, and is trained anew."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def lived(folder: Path) -> tuple[Told, set[int]]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    told = run(PLAN, folder, TODAY, print)
    return told, {child.pid for child in psutil.Process().children(recursive=True)} - before


def test_every_day_is_judged_by_the_truth(lived: tuple[Told, set[int]]) -> None:
    judged = lived[0].judged
    assert [each.day for each in judged] == list(range(8))
    assert all(each.oracle < each.live < 1.0 and each.oracle < each.never < 1.0 for each in judged)
    assert all(each.users > 100 and math.isnan(each.realised_live) for each in judged)


def test_the_loop_trains_anew_within_the_days(lived: tuple[Told, set[int]]) -> None:
    steps = [(each.day, each.step, each.version) for each in lived[0].happenings]
    assert (-1, "promoted", "1") in steps
    assert [day for day, step, _ in steps if step == "triggered" and day >= 0] != []
    assert {version for day, step, version in steps if step == "registered" and day >= 0} >= {"2"}


def test_no_process_is_left(lived: tuple[Told, set[int]]) -> None:
    watcher = {pid for pid in lived[1] if "deathwatch" in " ".join(psutil.Process(pid).cmdline())}
    assert lived[1] - watcher == set()


def test_a_year_has_a_folder_and_so_a_registry_of_its_own(lived: tuple[Told, set[int]], folder: Path) -> None:
    assert lived[0].whole
    assert [path.name for path in folder.iterdir()] == ["drift"]
    assert (folder / "drift" / "data" / "mlflow.db").exists()
