"""A loss that rises is told once; one that falls, trembles or was told already is not."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from training.loop.finding import Finding
from training.loop.outcome_drift import OutcomeDrift, OutcomeState

ROWS = 1_000
Day = tuple[int, "np.ndarray[tuple[int], np.dtype[np.bool_]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"]


def midnight(day: int, churns: float, told: float = 0.05) -> Day:
    """Return users of whom a share `churns` leaves, where the champion says `told` of everybody."""
    return day, np.random.default_rng(day).random(ROWS) < churns, np.full(ROWS, told)


def watched(days: Sequence[Day]) -> list[Finding]:
    watch = OutcomeDrift()
    return [found for each in days for found in watch.day(*each)]


def test_a_champion_that_foretells_as_ever_is_no_news() -> None:
    assert watched([midnight(day, 0.1) for day in range(100)]) == []


def test_a_loss_that_rises_is_told_once_within_a_week() -> None:
    found = watched([midnight(day, 0.1 if day < 40 else 0.2) for day in range(80)])
    assert [each.kind for each in found] == ["outcome"]
    assert 40 < found[0].day <= 47
    # -0.9 ln 0.95 - 0.1 ln 0.05 = 0.346 before; when it is cut, some of the risen days are in the window.
    assert found[0].seen > found[0].bound > 0.346 * 1.1


def test_a_loss_that_falls_is_no_news() -> None:
    assert watched([midnight(day, 0.2 if day < 40 else 0.05) for day in range(80)]) == []


def test_a_loss_that_the_champion_itself_foretold_is_no_news() -> None:
    assert watched([midnight(day, *((0.1, 0.1) if day < 40 else (0.3, 0.3))) for day in range(80)]) == []


def test_a_second_rise_is_told_again() -> None:
    shares = [0.05] * 40 + [0.15] * 40 + [0.4] * 20
    assert len(watched([midnight(day, share) for day, share in enumerate(shares)])) == 2


def test_too_few_matured_rows_are_passed_over() -> None:
    watch = OutcomeDrift()
    few = [watch.day(day, np.ones(99, np.bool_), np.full(99, 0.01 if day > 40 else 0.9)) for day in range(80)]
    assert [found for day in few for found in day] == []
    assert watch.state() == OutcomeState()


def test_a_midnight_is_taken_once() -> None:
    watch = OutcomeDrift()
    for day in (3, 3, 2):
        watch.day(*midnight(day, 0.1))
    assert (watch.state().last_day, watch.state().rows) == (3, (100,))


@pytest.mark.parametrize("until", [1, 43, 130])
def test_a_restart_changes_nothing(until: int) -> None:
    days = [midnight(day, 0.1 if day < 40 or 60 < day < 150 else 0.2) for day in range(160)]
    first = OutcomeDrift()
    found = [each for day in days[:until] for each in first.day(*day)]
    second = OutcomeDrift(state=msgspec.json.decode(msgspec.json.encode(first.state()), type=OutcomeState))
    found += [each for day in days[until:] for each in second.day(*day)]
    assert found == watched(days)
    assert len(found) == 2


def test_no_more_is_kept_than_is_needed() -> None:
    watch = OutcomeDrift()
    for day in range(121):
        watch.day(*midnight(day, 0.1))
    assert len(watch.state().rows) == 60
