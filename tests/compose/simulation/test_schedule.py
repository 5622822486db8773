"""Which years are simulated, and on which days the business changes."""

from datetime import date

import pytest

from churn.errors import InputError
from compose.simulation.command import plans
from compose.simulation.schedule import Episode, Plan, episodes_of

NUMBERS = {"users": 300, "days": 365, "warm_up": 120, "seed": 1}


def test_without_a_word_a_quiet_year_and_one_of_every_kind_of_change_are_planned() -> None:
    quiet, drift = plans(**NUMBERS, quiet=False, drifts=())
    assert (quiet.name, quiet.episodes) == ("quiet", ())
    assert drift.name == "drift"
    assert [(each.kind, each.start, each.end) for each in drift.episodes] == [
        ("payment-outage", 30, 34),
        ("bot-wave", 75, 89),
        ("price-rise", 150, 210),
        ("new-lesson-type", 265, 295),
    ]


def test_a_named_change_is_the_only_one_of_the_only_year() -> None:
    (plan,) = plans(**NUMBERS, quiet=False, drifts=("bot-wave:9", "price-rise:3"))
    assert plan.episodes == (Episode("price-rise", 3), Episode("bot-wave", 9))


def test_quiet_means_one_year_in_which_nothing_changes() -> None:
    (plan,) = plans(**NUMBERS, quiet=True, drifts=())
    assert plan.episodes == ()


def test_of_days_on_which_no_change_falls_there_is_one_quiet_run() -> None:
    (plan,) = plans(**NUMBERS | {"days": 30}, quiet=False, drifts=())
    assert (plan.name, plan.days) == ("quiet", 30)


def test_changes_begin_so_many_days_behind_the_history_and_everything_ends_before_today() -> None:
    scenario = Plan(300, 365, 120, 1, (Episode("price-rise", 10),)).scenario(date(2026, 5, 1))
    assert scenario.start == date(2024, 12, 31)
    assert scenario.days == 485
    assert [(drift.kind, drift.start) for drift in scenario.drifts] == [("price-rise", date(2025, 5, 10))]


@pytest.mark.parametrize("text", ["price-rise", "price-rise:365", "price-rise:-1", "earthquake:3", "price-rise:soon"])
def test_what_is_no_change_on_a_day_of_the_year_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give KIND:DAY, such as price-rise:120, with a day from 0 to 364"):
        episodes_of([text], 365)
