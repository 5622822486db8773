"""A drift of the inputs or of the scores is told once when it begins; what moves by itself, or slowly with age, is not."""

import msgspec
import numpy as np
import pytest

from churn.layout import Float64s, Floats
from training.loop.drift import DayDrift, DriftState, InputDrift
from training.loop.reference import Reference, reference_of

NAMES = ["sessions", "plan_pro", "age"]
USERS = 1_000


def population(seed: int, rows: int = USERS, bots: int = 0, age: float = 100.0) -> tuple[Floats, Float64s]:
    """Return users of one midnight, the first `bots` of whom are machines, and a score that is uniform."""
    rng = np.random.default_rng(seed)
    matrix = np.stack([rng.poisson(3, rows), rng.random(rows) < 0.3, rng.normal(age, 20, rows)], axis=1)
    matrix[:bots, 0] = 140
    return matrix.astype(np.float32), rng.random(rows)


def reference() -> Reference:
    return reference_of(NAMES, *population(9_001, 20_000), np.zeros(20_000, np.int32))


def meeting() -> InputDrift:
    watch = InputDrift()
    watch.meets("7", reference())
    return watch


def after_weeks(watch: InputDrift, **changed: int) -> list[DayDrift]:
    """Let two quiet weeks pass, then ten days on which something has changed."""
    return [watch.day(day, *population(day, **(changed if day >= 14 else {}))) for day in range(24)]


def test_days_like_the_training_rows_are_no_news() -> None:
    found = after_weeks(meeting())
    assert [each.findings for each in found] == [[]] * 24
    assert max(max(each.psi.values()) for each in found) < 0.05
    assert list(found[0].psi) == NAMES


def test_machines_are_told_once_on_their_second_day() -> None:
    found = [each for day in after_weeks(meeting(), bots=60) for each in day.findings]
    assert [(each.kind, each.day, each.what) for each in found] == [("behaviour", 15, "sessions")]
    assert found[0].seen > found[0].bound
    assert found[0].says == f"sessions (PSI {found[0].seen:.2f}) moved away from the champion's training rows"


def test_one_odd_day_is_no_drift() -> None:
    watch = meeting()
    odd = [watch.day(day, *population(day, bots=60 if day == 14 else 0)) for day in range(24)]
    assert [each.findings for each in odd] == [[]] * 24
    assert odd[14].psi["sessions"] > 0.2


def test_what_is_always_far_from_the_training_rows_is_no_news() -> None:
    watch = meeting()
    aged = [watch.day(day, *population(day, age=130.0 + day / 60)) for day in range(120)]
    assert aged[0].psi["age"] > 1
    assert [found for day in aged for found in day.findings] == []


def test_a_drift_too_slow_for_four_weeks_is_told_within_a_quarter() -> None:
    watch = meeting()
    slow = [watch.day(day, *population(day, age=100.0 + day / 8)) for day in range(130)]
    assert [found.what for day in slow for found in day.findings] == ["age"]


def test_a_champion_that_says_the_same_of_everyone_is_told() -> None:
    watch, found = meeting(), []
    for day in range(24):
        matrix, score = population(day)
        found += watch.day(day, matrix, score if day < 14 else np.full(USERS, 0.5)).findings
    assert [(each.kind, each.day, each.what) for each in found] == [("score", 15, "")]


def test_an_alarm_may_come_again_after_a_calm_week() -> None:
    watch, found = meeting(), []
    for day in range(40):
        found += watch.day(day, *population(day, bots=60 if 14 <= day < 18 or day >= 30 else 0)).findings
    assert [each.day for each in found] == [15, 31]


def test_few_users_are_not_judged_and_the_day_says_so() -> None:
    found = meeting().day(0, *population(0, rows=199))
    assert (found.psi, found.findings, found.says) == ({}, [], "not judged: 199 users are fewer than 200")


def test_nothing_is_judged_without_a_reference() -> None:
    assert InputDrift().day(0, *population(0)).says == "not judged: no champion's training rows to compare with"


def test_a_midnight_is_judged_once() -> None:
    watch = meeting()
    watch.day(5, *population(5))
    assert watch.day(5, *population(5)).says == "not judged: this day, or a later one, was judged before"


def test_a_new_champion_brings_its_own_training_rows() -> None:
    watch = meeting()
    before = [watch.day(day, *population(day, age=160.0)) for day in range(14)][-1].psi["age"]
    watch.meets("8", reference_of(NAMES, *population(9_002, 20_000, age=160.0), np.zeros(20_000, np.int32)))
    after = watch.day(14, *population(14, age=160.0))
    assert (watch.version, after.findings) == ("8", [])
    assert after.psi["age"] < 0.05 < before


@pytest.mark.parametrize("until", [1, 15, 20])
def test_a_restart_changes_nothing(until: int) -> None:
    first = meeting()
    found = [first.day(day, *population(day, bots=60 if day >= 14 else 0)) for day in range(until)]
    second = InputDrift(state=msgspec.json.decode(msgspec.json.encode(first.state()), type=DriftState))
    found += [second.day(day, *population(day, bots=60 if day >= 14 else 0)) for day in range(until, 24)]
    assert found == after_weeks(meeting(), bots=60)
    assert second.version == "7"


def test_how_far_a_population_has_moved_can_be_asked_without_its_being_remembered() -> None:
    watch = meeting()
    before = msgspec.json.encode(watch.state())
    moved = watch.moved(*population(1, bots=60))
    assert list(moved) == [*NAMES, ""]
    assert moved["sessions"] > 0.2
    assert watch.moved(*population(1, rows=199)) == {}
    assert msgspec.json.encode(watch.state()) == before
