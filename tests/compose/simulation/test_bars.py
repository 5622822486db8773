"""The bars of a year, from days, alarms and steps that are written down here."""

import math

import pytest

from compose.simulation.bars import (
    Alarm,
    alarms,
    beats_never,
    champion_age,
    detected,
    false_alarms,
    recovered,
)
from compose.simulation.judging import Judged
from compose.simulation.schedule import Episode
from compose.simulation.timeline import Happening

OUTAGE = Episode("payment-outage", 30)
"""Over on day 34; its labels are known on day 64, and the log loss has until day 94."""


def alarm(day: int, kind: str = "behaviour", what: str = "minutes_7d") -> Happening:
    return Happening(day, "alarm", "", "", {"kind": kind, "what": what})


def year(distances: dict[range, float], days: int = 120, usual: float = 0.02) -> list[Judged]:
    """Return days whose log loss is so far above an oracle's of 0.2."""
    far = {day: distance for span, distance in distances.items() for day in span}
    return [Judged(day, 1000, 0.2 + far.get(day, usual), 0.25, 0.2) for day in range(days)]


def test_an_alarm_that_goes_on_sounding_is_one_alarm_and_another_one_after_a_week() -> None:
    found = alarms([alarm(3), alarm(4), alarm(10), alarm(11, what="sessions_7d"), alarm(18)])
    assert found == [
        Alarm(3, "behaviour minutes_7d"),
        Alarm(11, "behaviour sessions_7d"),
        Alarm(18, "behaviour minutes_7d"),
    ]


def test_alarms_of_the_history_and_other_steps_are_no_alarms_of_the_year() -> None:
    assert alarms([alarm(-1), Happening(4, "promoted", "2", "")]) == []


@pytest.mark.parametrize(
    ("days", "figure", "passed"), [([], "0", True), ([5, 5], "1 (on day 5)", True), ([5, 9], "2 (on day 5, 9)", False)]
)
def test_one_false_alarm_is_borne_and_two_are_not(days: list[int], figure: str, passed: bool) -> None:
    bar = false_alarms([Alarm(day, str(place)) for place, day in enumerate(days)])
    assert (bar.figure, bar.passed) == (figure, passed)


@pytest.mark.parametrize(("day", "passed"), [(31, True), (37, True), (38, False)])
def test_a_change_is_to_be_told_within_a_week(day: int, passed: bool) -> None:
    bar = detected(OUTAGE, [Alarm(day, "quality payment_failed")])
    assert bar.figure == f"after {day - 30} days, by quality payment_failed"
    assert bar.passed is passed


def test_an_alarm_of_before_a_change_did_not_tell_of_it() -> None:
    assert detected(OUTAGE, [Alarm(30, "score")]).figure == "never"


def test_a_log_loss_that_comes_back_in_time_passes() -> None:
    bar = recovered(OUTAGE, year({range(30, 70): 0.04}))
    assert bar.passed
    # The first week that is as good as before ends with day 76; one bad day of seven is 14 % too much.
    assert bar.figure == "+12 days from matured labels; former distance 0.0200, at most 2.00 times that"


def test_a_log_loss_that_stays_away_is_a_miss() -> None:
    bar = recovered(OUTAGE, year({range(30, 120): 0.03}))
    assert not bar.passed
    assert bar.figure.startswith("not by day 94: 1.50 times at best")


def test_a_year_too_short_to_see_it_is_a_miss_that_says_so() -> None:
    assert recovered(OUTAGE, year({}, days=90)).figure == "the year ends before day 94"


def test_the_loop_is_held_against_never_retraining_on_midnights_where_both_were_heard() -> None:
    days = [Judged(0, 10, 0.3, 0.4, 0.2), Judged(1, 10, 9.0, math.nan, 0.2)]
    assert beats_never(days).passed
    assert beats_never(days).figure == "log loss 0.3000, never retrained 0.4000, oracle 0.2000"


def test_the_champions_age_is_the_longest_time_between_two_that_began_to_serve() -> None:
    steps = [
        Happening(-1, "promoted", "1", ""),
        Happening(6, "promoted", "2", ""),
        Happening(15, "rolled_back", "1", ""),
    ]
    bar = champion_age(steps, 20)
    assert (bar.figure, bar.passed) == ("9 days", False)
