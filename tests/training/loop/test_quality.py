"""Broken data and new behaviour are told apart, told once, and not told of a day like others."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from training.loop.finding import Finding
from training.loop.quality import DayFigures, FieldFigures, Quality, QualityState

PRICES = FieldFigures(rows=60, missing=0, values={"9.99": 40, "19.99": 20}, mean=13.3, deviation=4.7)
MINUTES = FieldFigures(rows=2_000, missing=0, values={}, mean=20.0, deviation=11.0)
PLANS = FieldFigures(rows=1_400, missing=0, values={"free": 700, "pro": 700})
FIELDS = {"paid.amount": PRICES, "lesson.minutes": MINUTES, "session.plan": PLANS}
TYPES = {"session": 1_400, "lesson": 2_000, "paid": 60, "declined": 4}


def figures(day: int, **changed: Any) -> DayFigures:
    types = TYPES | changed.pop("types", {})
    fields = FIELDS | changed.pop("fields", {})
    whole: dict[str, Any] = {
        "events": sum(types.values()),
        "users": 1_000,
        "undeclared": {},
        "busiest": 30,
        "tireless": 1,
    }
    return DayFigures(day=day, types=types, fields=fields, **(whole | changed))


def after_weeks(*days: DayFigures) -> list[Finding]:
    watch = Quality()
    return [found for each in (*map(figures, range(28)), *days) for found in watch.day(each)]


def told(found: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(each.kind, each.what) for each in found]


def field(name: str, **changed: Any) -> dict[str, FieldFigures]:
    return {name: msgspec.structs.replace(FIELDS[name], **changed)}


def test_days_like_others_are_no_news() -> None:
    assert after_weeks(*map(figures, range(28, 60))) == []


def test_chance_in_a_rare_event_is_no_news() -> None:
    assert after_weeks(figures(28, types={"declined": 11}), figures(29, types={"declined": 0})) == []


def test_a_weekend_is_compared_with_weekends() -> None:
    watch = Quality()
    days = [figures(day, types={"session": 400 if day % 7 == 3 else 1_400}) for day in range(60)]
    assert [found for each in days for found in watch.day(each)] == []


def test_half_of_the_events_gone_is_broken() -> None:
    lost = figures(28, types={"session": 300, "lesson": 500, "paid": 15})
    assert ("quality", "events") in told(after_weeks(lost))


def test_twice_the_events_are_broken() -> None:
    assert ("quality", "events") in told(after_weeks(figures(28, types={"session": 6_000})))


def test_an_event_type_that_falls_silent_is_broken() -> None:
    found = after_weeks(figures(28, types={"paid": 3}))
    assert told(found) == [("quality", "paid")]
    assert found[0].says == "3 paid where 60 are usual on this weekday"


def test_more_declined_charges_are_behaviour() -> None:
    assert told(after_weeks(figures(28, types={"declined": 60}))) == [("behaviour", "declined")]


def test_a_field_that_is_missing_is_broken() -> None:
    found = after_weeks(figures(28, fields=field("session.plan", missing=500)))
    assert told(found) == [("quality", "session.plan")]
    assert found[0].says == "session.plan is missing on 36% of its events where 0% are usual"


def test_values_cut_off_at_the_declared_limit_are_broken() -> None:
    assert told(after_weeks(figures(28, fields=field("lesson.minutes", at_limit=600)))) == [
        ("quality", "lesson.minutes")
    ]


def test_a_value_never_seen_is_behaviour() -> None:
    found = after_weeks(figures(28, fields=field("session.plan", values={"free": 700, "team": 700})))
    assert told(found) == [("behaviour", "session.plan")]
    assert found[0].says == "50% of session.plan have values never seen in weeks: team"


def test_shorter_lessons_are_behaviour() -> None:
    found = after_weeks(
        figures(28, fields=field("lesson.minutes", mean=15.0)), figures(29, fields=field("lesson.minutes", mean=15.0))
    )
    assert told(found) == [("behaviour", "lesson.minutes")]
    # The keeper writes them down as JSON, which knows no number of numpy's.
    assert {type(figure) for each in found for figure in (each.seen, each.bound)} == {float}


def test_minutes_that_come_as_seconds_are_broken() -> None:
    assert told(after_weeks(figures(28, fields=field("lesson.minutes", mean=1_200.0)))) == [
        ("quality", "lesson.minutes")
    ]


def test_a_field_that_nobody_declared_is_broken() -> None:
    found = after_weeks(figures(28, undeclared={"lesson.lesson_type": 2_000}))
    assert told(found) == [("quality", "lesson.lesson_type")]


def test_users_who_never_sleep_are_broken() -> None:
    found = after_weeks(figures(28, tireless=60))
    assert found[0].says == "60 users are active in 12 different hours or more where 1 are usual: machines"


def test_one_user_with_most_of_the_events_is_broken() -> None:
    assert told(after_weeks(figures(28, busiest=400))) == [("quality", "events of one user")]
    assert after_weeks(figures(28, busiest=100)) == []


def test_refused_events_are_broken() -> None:
    assert told(after_weeks(figures(28, dead_letters=400))) == [("quality", "dead letters")]
    assert after_weeks(figures(28, dead_letters=10)) == []


def test_what_stays_so_is_told_once_and_again_after_a_calm_week() -> None:
    bad = [figures(day, tireless=60) for day in range(28, 33)]
    calm = [figures(day) for day in range(33, 41)]
    assert [each.day for each in after_weeks(*bad, *calm, figures(41, tireless=60))] == [28, 41]


def test_nothing_is_judged_before_there_are_weeks_to_compare_with() -> None:
    watch = Quality()
    assert [found for day in range(21) for found in watch.day(figures(day, tireless=60 if day == 20 else 0))] == []


def test_a_day_is_taken_once() -> None:
    assert len(after_weeks(figures(28, tireless=60), figures(28, tireless=60), figures(27, users=1))) == 1


@pytest.mark.parametrize("until", [10, 28, 30])
def test_a_restart_changes_nothing(until: int) -> None:
    days = [*map(figures, range(28)), *(figures(day, types={"paid": 2}, tireless=60) for day in range(28, 40))]
    whole, first = Quality(), Quality()
    found = [each for day in days[:until] for each in first.day(day)]
    second = Quality(state=msgspec.json.decode(msgspec.json.encode(first.state()), type=QualityState))
    found += [each for day in days[until:] for each in second.day(day)]
    assert found == [each for day in days for each in whole.day(day)]
    assert second.state() == whole.state()


def after_history(*days: DayFigures) -> Quality:
    watch = Quality()
    assert [found for each in (*map(figures, range(28)), *days) for found in watch.day(each, history=True)] == []
    return watch


def test_nothing_is_told_of_history_and_all_of_what_comes_after_it() -> None:
    assert after_history(figures(28, tireless=60)).state().days[-1].tireless == 60
    assert told(after_history().day(figures(28, tireless=60))) == [("quality", "users")]


def test_what_began_in_history_and_goes_on_is_no_news_and_what_begins_anew_is() -> None:
    watch = after_history(figures(28, tireless=60))
    assert [watch.day(figures(day, tireless=60)) for day in (29, 30)] == [[], []]
    watch = after_history(figures(28, tireless=60))
    assert watch.day(figures(29)) == []
    assert told(watch.day(figures(30, tireless=60))) == [("quality", "users")]
