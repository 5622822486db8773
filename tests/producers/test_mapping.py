"""A mapping names columns, or says which of its keys is wrong."""

from datetime import UTC
from pathlib import Path

import pytest

from churn.errors import InputError
from producers.mapping import Source, TimeSource, check, of_contract, parse

EXAMPLE = Path("feature_repo/declarations/examples/purchases_mapping.yaml")
SHORT = "columns: {user_id: who, event_type: what, occurred_at: at}"


def test_the_example_maps_receipts_to_purchases() -> None:
    mapping = parse(EXAMPLE.read_text(encoding="utf-8"), "example")
    assert mapping.event_type == Source(const="purchase")
    assert mapping.occurred_at == TimeSource("sold_at", "%d.%m.%Y %H:%M", "Europe/Vienna")
    assert sorted(mapping.columns()) == ["country", "customer", "receipt", "sold_at", "total"]
    assert mapping.delimiter == ";"


def test_a_short_mapping_reads_iso_times_in_utc() -> None:
    mapping = parse(SHORT, "m.yaml")
    assert (mapping.occurred_at.format, mapping.zone, mapping.event_id) == ("iso", UTC, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: {user_id: a, event_type: b}", "missing required field `occurred_at`"),
        ("columns: {user_id: a, event_type: b, occurred_at: c, user: d}", "unknown field `user`"),
        ("columns: [", "m.yaml: not valid YAML"),
        ("columns: {user_id: a, event_type: {}, occurred_at: c}", "event_type: give either a column or const"),
        (
            "columns: {user_id: a, event_type: b, occurred_at: {column: c, timezone: Mars/Base}}",
            "timezone 'Mars/Base' is unknown",
        ),
        (
            "columns: {user_id: a, event_type: b, occurred_at: {column: c, format: epoch}}",
            "'epoch' is none of iso, epoch_seconds",
        ),
        (SHORT + "\ndelimiter: ', '", "delimiter ', ' must be one character"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text, "m.yaml")


def test_contract_columns_are_found_by_their_prefix() -> None:
    mapping = of_contract(["user_id", "event_type", "occurred_at", "measure_minutes", "attributes.plan", "measures"])
    assert mapping.measures == {"minutes": "measure_minutes"}
    assert mapping.attributes == {"plan": "attributes.plan"}
    assert (mapping.measures_object, mapping.event_id) == ("measures", "")


def test_unknown_columns_are_named_beside_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"log\.csv: no column at, what; the file has who, when"):
        check(parse(SHORT, "m.yaml"), ["who", "when"], "log.csv")
