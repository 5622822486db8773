"""The gate before learning: what passes, what warns, what fails, and what it says."""

import json
from collections import Counter
from collections.abc import Sequence
from math import sin

import pytest

from churn.declaration import Declaration, parse
from churn.errors import DataError
from training.checks import REQUIRED, Verdict
from training.profile import AttributeSeen, MeasureSeen, Profile
from training.validation import LabelRate, validate

DECLARED = parse(
    """
business: test
events:
  visit: {activity: true, measures: {minutes: {min: 0, max: 100}}}
  paid: {}
counters: {minutes: {unit: minutes, adds: {visit: minutes}}}
registers: {plan: {attribute: plan, values: [free, pro]}}
features:
  minutes_7d: {sum: minutes, windows: [7], says: a}
""",
    "test",
)
USUAL = [LabelRate(40, 1000, 100), LabelRate(47, 1000, 120), LabelRate(54, 1000, 90)]


@pytest.fixture
def healthy() -> Profile:
    """Return 100 days with weekends at half, slow growth, and a quiet start."""
    days = {day: int((200 + day) * (0.5 if day % 7 in {5, 6} else 1.0) * (1 + 0.2 * sin(day))) for day in range(100)}
    days[0], days[99] = 3, 5
    visits = Counter({("visit", day): events for day, events in days.items()})
    paid = Counter({("paid", day): 1 for day in days})
    return Profile(
        columns={name: {kind} for name, kind in REQUIRED.items()} | {"measure_minutes": {"DOUBLE"}},
        by_type_and_day=visits + paid,
        partition_ends={0: 99, 1: 99},
        by_type=Counter({"visit": sum(days.values()), "paid": 100}),
        measures={("visit", "minutes"): MeasureSeen(sum(days.values()), 0, 0, 0.0, 99.0)},
        attributes={"plan": AttributeSeen(500)},
        users=50,
    )


def verdicts(profile: Profile, rates: Sequence[LabelRate] = USUAL, declared: Declaration = DECLARED) -> dict[str, str]:
    """Return what did not pass: verdict, what was seen and where, by name."""
    report = validate(declared, profile, rates)
    found = [check for check in report.checks if check.verdict is not Verdict.PASSED]
    assert report.passed == all(check.verdict is Verdict.WARNED for check in found)
    assert all(check.advice for check in found)
    return {check.name: f"{check.verdict.value} {check.seen} | {check.where}" for check in found}


def test_a_healthy_business_passes_without_a_word(healthy: Profile) -> None:
    assert verdicts(healthy) == {}
    text = validate(DECLARED, healthy, USUAL).text()
    assert text.startswith("data set: 12 passed, 0 warned, 0 FAILED\npassed  schema: 8 columns")


def test_days_of_lost_events_fail(healthy: Profile) -> None:
    for day in (50, 51, 52):
        healthy.by_type_and_day["visit", day] = 4
    assert verdicts(healthy)["volumes"].startswith("FAILED 3 days stand out, 3 of them")


def test_one_wild_day_warns(healthy: Profile) -> None:
    healthy.by_type_and_day["visit", 50] *= 9
    assert verdicts(healthy)["volumes"].startswith("warned 1 days stand out, 0 of them")


def test_missing_days_warn_and_many_fail(healthy: Profile) -> None:
    del healthy.by_type_and_day["visit", 60]
    assert verdicts(healthy)["missing days"] == (
        "warned no activity on 1 of 100 days, 1970-01-01 to 1970-04-10 | 1970-03-02"
    )
    for day in range(10, 40):
        del healthy.by_type_and_day["visit", day]
    assert verdicts(healthy)["missing days"].startswith("FAILED no activity on 31 of 100 days")


def test_a_frequent_type_that_ceased_warns(healthy: Profile) -> None:
    for day in range(100):
        healthy.by_type_and_day["paid", day] = 60 if day < 80 else 0
    healthy.by_type_and_day = +healthy.by_type_and_day
    assert verdicts(healthy) == {"silent types": "warned 1 frequent types ceased | paid since 1970-03-21"}


def test_duplicates_are_graded_by_share(healthy: Profile) -> None:
    healthy.repeated = 5
    assert verdicts(healthy)["duplicates"].startswith("warned 5 of")
    healthy.repeated = 500
    assert verdicts(healthy)["duplicates"].startswith("FAILED 500 of")


def test_types_that_are_not_declared_are_named(healthy: Profile) -> None:
    healthy.by_type["opened"] = 10
    assert verdicts(healthy)["event types"] == (
        "warned 0.0% of the events are of types that are not declared and count for nothing | opened (10)"
    )
    healthy.by_type["opened"] = 10_000
    assert verdicts(healthy)["event types"].startswith("FAILED 3")


def test_an_archive_without_activity_fails(healthy: Profile) -> None:
    healthy.by_type = Counter({"paid": 100})
    healthy.by_type_and_day = Counter({("paid", day): 1 for day in range(100)})
    assert verdicts(healthy, ())["activity"].startswith("FAILED none of the 1 activity events ever came")


def test_values_outside_the_declared_limits_fail(healthy: Profile) -> None:
    healthy.measures["visit", "minutes"] = MeasureSeen(1000, 0, 30, -4.0, 6000.0)
    assert verdicts(healthy) == {"range": "FAILED 30 of 1,000 outside the declared limits (-4 to 6000) | visit.minutes"}


def test_a_measure_that_is_mostly_missing_warns(healthy: Profile) -> None:
    healthy.measures["visit", "minutes"].missing = int(healthy.measures["visit", "minutes"].events * 0.9)
    assert verdicts(healthy)["missing values"].startswith("warned missing in 90%")


def test_categories_that_are_not_declared_are_shown(healthy: Profile) -> None:
    healthy.attributes["plan"] = AttributeSeen(500, 50, {"gold", "Pro"})
    assert verdicts(healthy) == {"categories": "warned 10.0% of 500 values are not declared: Pro, gold | plan"}
    healthy.attributes["plan"].undeclared = 400
    assert verdicts(healthy)["categories"].startswith("FAILED 80.0%")


def test_a_partition_that_lags_warns(healthy: Profile) -> None:
    healthy.partition_ends[1] = 90
    assert verdicts(healthy) == {"partitions": "warned 1 end before 1970-04-10 | partition 1 by 9 days"}


def test_events_without_identity_fail(healthy: Profile) -> None:
    healthy.missing["user_id"] = 7
    assert verdicts(healthy)["identity"] == "FAILED 7 without user_id | rows of the archive"


def test_columns_of_other_types_and_missing_ones_fail(healthy: Profile) -> None:
    healthy.columns["measure_minutes"] = {"VARCHAR", "DOUBLE"}
    assert verdicts(healthy)["schema"].startswith("FAILED measure_minutes is DOUBLE/VARCHAR, not DOUBLE")
    del healthy.columns["occurred_at"]
    assert verdicts(healthy) == {"schema": "FAILED no column occurred_at | every file"}


def test_labels_of_one_class_fail(healthy: Profile) -> None:
    assert verdicts(healthy, [LabelRate(40, 100, 0)])["label rate"].startswith("FAILED 0 of 100 users churned")


def test_a_label_rate_that_leaps_warns_and_one_that_explodes_fails(healthy: Profile) -> None:
    leap = [*USUAL, LabelRate(61, 1000, 400)]
    assert verdicts(healthy, leap)["label rate"].endswith("| change at 1970-03-03")
    assert verdicts(healthy, leap)["label rate"].startswith("warned 17.8% of 4,000 churned, from 9.0% to 40.0%")
    gone = [*USUAL, LabelRate(61, 1000, 990)]
    assert verdicts(healthy, gone)["label rate"].startswith("FAILED")


def test_what_failed_is_refused_with_the_report(healthy: Profile) -> None:
    assert validate(DECLARED, healthy).require().passed
    healthy.repeated = 5000
    with pytest.raises(DataError, match=r"(?s)not fit to learn from.*1 FAILED.*duplicates: 5,000 of .*do: look for"):
        validate(DECLARED, healthy).require()


def test_the_report_is_read_by_programs_too(healthy: Profile) -> None:
    told = json.loads(validate(DECLARED, healthy).json())
    assert told["passed"] is True
    assert told["checks"][0] == {
        "name": "schema", "verdict": "passed", "seen": "8 columns of the right types", "where": "", "advice": "",
    }  # fmt: skip
