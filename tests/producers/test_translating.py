"""One row becomes one event, or the value in its way is named."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from churn.events import Event
from producers.mapping import ColumnMapping, of_contract, parse
from producers.translating import RowError, event

ROW = {"user_id": "u1", "event_type": "lesson_completed", "occurred_at": "2026-01-05T10:00:00Z", "event_id": "e1"}


def translated(extra: dict[str, Any]) -> Event:
    row = ROW | extra
    return event(of_contract(row), row, 1)


def test_a_row_in_the_contract_becomes_its_event() -> None:
    found = translated({"measure_minutes": "12.5", "attribute_plan": "pro", "schema_version": "1"})
    assert found == Event(
        "e1", "u1", "lesson_completed", datetime(2026, 1, 5, 10, tzinfo=UTC), 1, {"minutes": 12.5}, {"plan": "pro"}
    )


def test_measures_may_come_as_a_json_object_and_empty_cells_are_none() -> None:
    found = translated({"measures": '{"minutes": 3}', "attribute_plan": "", "measure_score": ""})
    assert (found.measures, found.attributes) == ({"minutes": 3.0}, None)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"user_id": " "}, "user_id: column `user_id` is empty"),
        ({"event_id": ""}, "event_id: column `event_id` is empty"),
        ({"occurred_at": ""}, "occurred_at: column `occurred_at` is empty"),
        ({"occurred_at": "yesterday"}, "occurred_at: 'yesterday' in column `occurred_at` is no time of format iso"),
        ({"occurred_at": 1767607200}, "is no time of format iso"),
        ({"measure_minutes": "12,5"}, "measure minutes: '12,5' is not a number"),
        ({"measure_minutes": "1_000"}, "measure minutes: '1_000' is not a number"),
        ({"measure_minutes": "inf"}, "measure minutes: 'inf' is not a number"),
        ({"measures": "[1]"}, r"measures: '\[1\]' is not an object"),
        ({"user_id": "u" * 129}, "length <= 128"),
        ({"schema_version": "one"}, "schema_version: 'one' is not a whole number"),
    ],
)
def test_a_value_in_the_way_is_named(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        translated(extra)


def timed(spec: str) -> ColumnMapping:
    return parse("columns: {user_id: u, event_type: {const: x}, occurred_at: {column: t, " + spec + "}}", "m")


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("format: epoch_seconds", "1767607200"),
        ("format: epoch_milliseconds", 1767607200000),
        ("format: epoch_microseconds", 1767607200000000),
        ("format: iso", "2026-01-05 10:00"),
        ("format: iso, timezone: Europe/Vienna", "2026-01-05 11:00"),
        ("format: '%d.%m.%Y %H:%M', timezone: Europe/Vienna", "05.01.2026 11:00"),
        ("timezone: Europe/Vienna", "2026-01-05T10:00:00Z"),
        ("format: iso", datetime(2026, 1, 5, 11, tzinfo=timezone(timedelta(hours=1)))),
    ],
)
def test_every_way_to_write_a_time_gives_the_same_moment(spec: str, value: object) -> None:
    assert event(timed(spec), {"u": "u1", "t": value}, 1).occurred_at == datetime(2026, 1, 5, 10, tzinfo=UTC)


def test_a_date_is_midnight_of_its_zone() -> None:
    found = event(timed("timezone: Europe/Vienna"), {"u": "u1", "t": date(2026, 7, 1)}, 1)
    assert found.occurred_at == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_ids_are_made_of_the_row_and_its_place() -> None:
    mapping, row = timed("format: epoch_seconds"), {"u": 17.0, "t": 1767607200}
    first, again, second = event(mapping, row, 1), event(mapping, row, 1), event(mapping, row, 2)
    assert first.user_id == "17"
    assert first.event_id == again.event_id == "04269a45a8d0191e208a5e3e1a60e2d7"
    assert first.event_id != second.event_id


def test_values_rename_event_types_and_others_are_refused() -> None:
    text = "columns: {user_id: u, event_type: {column: a, values: {BUY: purchase}}, occurred_at: t}"
    mapping, row = parse(text, "m"), {"u": "u1", "a": "BUY", "t": "2026-01-05"}
    assert event(mapping, row, 1).event_type == "purchase"
    with pytest.raises(RowError, match="'SELL' in column `a` is not among the mapping's values"):
        event(mapping, row | {"a": "SELL"}, 1)
