"""Contributions become sentences."""

import numpy as np

from churn.declaration import Aggregate, Declaration, Feature, parse
from churn.reasons import Explainer, sentence, tenths
from churn.scores import Reason

DECLARED: Declaration = parse(
    """
business: test
events: {visit: {activity: true}}
registers: {plan: {attribute: plan, values: [pro]}}
features:
  visits_{window}d: {sum: activity, windows: [7], says: "{value} visits in {window} days"}
  last: {days_since_last: activity, cap: 90, says: "no visit for {value} days"}
  plan_{value}: {is: plan, says: "plan is {value}"}
""",
    "test",
)
LAST = Feature("last", Aggregate.DAYS_SINCE_LAST, "activity", "no visit for {value} days", cap=90)


def test_reasons_come_strongest_first_with_value_and_words() -> None:
    matrix = np.array([[2.0, np.nan, 0.0]], np.float32)
    got = Explainer(DECLARED).explained(matrix, np.array([[0.125, -0.9, 0.30004]]), 2)
    assert got.others.tolist() == [0.125]
    assert got.reasons == [
        [
            Reason("last", None, -0.9, "no visit for (none) days"),
            Reason("plan_pro", 0.0, 0.30004, "not: plan is pro"),
        ]
    ]


def test_three_reasons_are_given_of_three_features() -> None:
    matrix = np.array([[2.0, 1.0, 1.0]], np.float32)
    names = [r.feature for r in Explainer(DECLARED).explained(matrix, np.array([[0.1, 0.2, 0.3]])).reasons[0]]
    assert names == ["plan_pro", "last", "visits_7d"]


def test_values_at_the_cap_say_or_more() -> None:
    assert sentence(LAST, 89.0) == "no visit for 89 days"
    assert sentence(LAST, 90.0) == "no visit for 90 or more days"


def test_fractions_show_one_digit() -> None:
    feature = Feature("m", Aggregate.MEAN, "minutes", "{value} minutes", window_days=7)
    assert sentence(feature, 12.34) == "12.3 minutes"
    assert sentence(feature, 12.0) == "12 minutes"


USUAL: Declaration = parse(
    """
business: test
events: {visit: {activity: true}}
features:
  last: {days_since_last: activity, cap: 90, says: "no visit for {value} days (usually {usual})", usual: visits_7d}
  visits_{window}d: {sum: activity, windows: [7], says: "{value} visits in {window} days"}
""",
    "test",
)


def test_the_usual_value_comes_from_the_same_row() -> None:
    matrix = np.array([[12.0, 2.0], [12.0, 2.5], [12.0, np.nan]], np.float32)
    rows = Explainer(USUAL).explained(matrix, np.array([[1.0, 0.0]] * 3), 1).reasons
    assert [row[0].text for row in rows] == [
        "no visit for 12 days (usually 2)",
        "no visit for 12 days (usually 2.5)",
        "no visit for 12 days",
    ]


def test_tenths_round_as_text_does() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 100, 5000), [0.25, 0.35, 2.5, 1e30]]).astype(np.float32)
    assert [f"{t / 10:.1f}" for t in tenths(values[:-1]).tolist()] == [
        f"{v:.1f}".replace("-0.0", "0.0") for v in values[:-1].tolist()
    ]
    assert tenths(values[-1:]).tolist() == [10**15]
