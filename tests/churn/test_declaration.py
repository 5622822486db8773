"""A declaration that contradicts itself is refused with the place, what was seen and what would be right."""

import pytest

from churn.declaration import Aggregate, Declaration, parse
from churn.errors import DeclarationError

TEXT = """
business: shop
events:
  bought: {activity: true, measures: {amount: {min: 0, max: 100}}}
  complained: {}
counters:
  spent: {unit: money, scale: 100, adds: {bought: amount}}
registers:
  plan: {attribute: plan, values: [free, pro]}
features:
  spent_{window}d: {sum: spent, windows: [7, 30], says: "spent {value} in {window} days"}
  plan_{value}: {is: plan, says: "plan is {value}"}
"""


def declared(old: str = "", new: str = "") -> Declaration:
    assert old in TEXT
    return parse(TEXT.replace(old, new) if old else TEXT, "shop.yaml")


def test_windows_and_values_make_a_feature_each() -> None:
    assert declared().feature_names == ("spent_7d", "spent_30d", "plan_free", "plan_pro")
    first = declared().features[0]
    assert (first.aggregate, first.window_days) == (Aggregate.SUM, 7)
    assert first.says == "spent {value} in 7 days"


def test_activity_is_counted_without_being_declared() -> None:
    assert list(declared().counters) == ["activity", "spent"]
    assert declared().counters["activity"].adds == {"bought": 1}


def test_sentences_do_not_change_the_version_and_windows_do() -> None:
    version = declared().feature_set_version
    assert len(version) == 12
    assert declared("plan is", "plan:").feature_set_version == version
    assert declared("[7, 30]", "[7, 29]").feature_set_version != version
    assert declared("scale: 100", "scale: 10").feature_set_version != version


SAYS_USUAL = ('says: "spent {value} in', 'usual: plan_pro, says: "(usually {usual}) spent {value} in')


def test_a_sentence_may_name_the_feature_that_is_usual_and_the_version_stays() -> None:
    found = declared(*SAYS_USUAL)
    assert [feature.usual for feature in found.features] == ["plan_pro", "plan_pro", "", ""]
    assert found.feature_set_version == declared().feature_set_version


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("business: shop", "business: [", "shop.yaml: not valid YAML"),
        ("business: shop", "company: shop", r"shop.yaml: unknown key \['company'\]; known are \['business'"),
        ("activity: true, ", "", "shop.yaml: events: no event has `activity: true`, so churn is not defined"),
        ("activity: true", "activity: yeah", "events: bought: `activity` must be true or false, got 'yeah'"),
        ("min: 0", "min: -1", "measures: amount: 0 <= min <= max is needed, got min -1 and max 100"),
        ("{amount: {min", "{'it''s': {min", "measures: it's: `it's` holds a quote or a backslash; choose a plain name"),
        ("attribute: plan", "attribute: 'a\"b'", 'registers: plan: `a"b` holds a quote or a backslash'),
        ("max: 100", "max: much", "amount: `max` must be a number, got 'much'"),
        ("scale: 100", "scale: 0", r"counters: spent: `scale` must be a whole number from 1 to 10\^9, got 0"),
        ("adds: {bought: amount}", "adds: {sold: amount}", "counters: spent: event `sold` is not declared"),
        ("adds: {bought: amount}", "adds: {bought: price}", "spent: event `bought` has no measure `price`"),
        ("  spent: {unit", "  activity: {unit", "counters: activity: `activity` is counted by itself"),
        ("values: [free, pro]", "values: [free, free]", "registers: plan: `values` must be a list of different texts"),
        (
            "attribute: plan, values: [free, pro]",
            "values: [free]",
            "give either `attribute` with `values`, or `events`",
        ),
        ("[7, 30]", "[7, 31]", r"features: spent_\{window\}d: windows are 1 to 30 days, got 31"),
        ("sum: spent", "sum: earned", "features: spent_7d: `earned`  is not declared; known are"),
        ("sum: spent", "total: spent, sum: spent", "exactly one of sum, days, .* is needed, got"),
        ("spent_{window}d", "spent", "features: spent: the name stands twice"),
        ("is: plan", "is: country", "register `country` is not declared; declared are"),
        (
            "sum: spent, windows: [7, 30]",
            "week_days: activity, weeks: [10]",
            r"weeks are 1 \(the last seven days\) to 9",
        ),
        ("sum: spent, windows: [7, 30]", "gap_mean: spent", "gap_mean is of `activity`, got `spent`"),
        ("is: plan,", "usual: spent, is: plan,", "plan_free: usual: no feature is named `spent`"),
        ("is: plan,", "usual: spent_7d, is: plan,", "plan_free: `usual` and {usual} in `says` need each other"),
        ("plan is", "usually {usual}", "plan_free: `usual` and {usual} in `says` need each other"),
        ("features:", "label: {horizon_days: 31}\nfeatures:", "label: horizon_days is 1 to 30, got 31"),
        ("features:", "label: {exclude: {plan: gold}}\nfeatures:", "exclude: register `plan` has no value `gold`"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared(old, new)


def test_a_text_that_is_no_mapping_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"shop\.yaml: a mapping of names is needed, got \['a'\]"):
        parse("[a]", "shop.yaml")
