"""What changed between two declarations, in words."""

import dataclasses

from churn.declaration import Counter
from churn.summary import difference, summary
from tests.churn.histories import DECLARATION

HOURS = Counter("minutes", "hours", 1, {"read": "minutes"})


def test_facts_are_told_by_name() -> None:
    facts = summary(DECLARATION)
    assert facts["activity"] == "read"
    assert facts["counter minutes"] == "minutes in steps of 1/100: minutes by read"
    assert facts["register standing"] == "good, failing by paid, failed"
    assert facts["feature mean_7d"] == "mean of minutes per reads over 7 days"
    assert facts["feature decayed_2d"] == "decayed of minutes with a half-life of 2 days"
    assert facts["feature plan_pro"] == "is of plan being pro"


def test_new_gone_and_changed_facts_are_named() -> None:
    counters = {**DECLARATION.counters, "minutes": HOURS, "visits": Counter("visits", "visits", 1, {"joined": 1})}
    changed = dataclasses.replace(DECLARATION, counters=counters, features=DECLARATION.features[1:])
    assert difference(summary(DECLARATION), summary(changed)) == (
        "new: counter visits; gone: feature reads_1d; changed: counter minutes"
        " (was minutes in steps of 1/100: minutes by read; is hours: minutes by read)"
    )


def test_another_order_is_a_change_too() -> None:
    turned = dataclasses.replace(DECLARATION, features=DECLARATION.features[::-1])
    assert difference(summary(DECLARATION), summary(turned)) == "changed: order of the features, counters or registers"


def test_a_long_list_is_cut() -> None:
    after = {f"feature f{n}": "sum" for n in range(10)}
    assert difference({}, after).endswith("feature f7 and 2 more")
