"""Turn one row of somebody's log into an event of the contract, or say which value is in the way."""

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import msgspec

from churn.errors import InputError
from churn.events import SCHEMA_VERSION, Event, encode
from producers.mapping import EPOCH_UNITS_US, ColumnMapping, Source, TimeSource

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVENT_ID_HEX_DIGITS = 32


class RowError(InputError):
    """This row cannot become an event; the message says which value and why."""


def event(mapping: ColumnMapping, row: Mapping[str, Any], ordinal: int) -> Event:
    """Return the event that a row stands for.

    Without a column for it, `event_id` is a hash of the event and of `ordinal`, the row's place among the records of
    its file: importing the same file again gives the same ids, and equal rows stay distinct events.

    Raises:
        RowError: a required value is missing, a time or number cannot be read, or the contract is not met.
    """
    fields: dict[str, Any] = {
        "user_id": _text(mapping.user_id, row, "user_id"),
        "event_type": _text(mapping.event_type, row, "event_type"),
        "occurred_at": moment(row.get(mapping.occurred_at.column), mapping.occurred_at, mapping.zone),
        "schema_version": _version(row.get(mapping.schema_version)) if mapping.schema_version else SCHEMA_VERSION,
        "event_id": _plain(row.get(mapping.event_id)) if mapping.event_id else "-",
    }
    if measures := _measures(mapping, row):
        fields["measures"] = measures
    if attributes := _attributes(mapping, row):
        fields["attributes"] = attributes
    if not fields["event_id"]:
        raise RowError(f"event_id: column `{mapping.event_id}` is empty")
    try:
        found = msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        raise RowError(str(error)) from error
    return found if mapping.event_id else msgspec.structs.replace(found, event_id=_hashed(found, ordinal))


def _hashed(found: Event, ordinal: int) -> str:
    digest = hashlib.blake2b(encode(found), digest_size=EVENT_ID_HEX_DIGITS // 2, salt=ordinal.to_bytes(8, "little"))
    return digest.hexdigest()


def _text(source: Source, row: Mapping[str, Any], name: str) -> str:
    if source.const:
        return source.const
    text = _plain(row.get(source.column))
    if not text:
        raise RowError(f"{name}: column `{source.column}` is empty")
    if source.values is None:
        return text
    if text not in source.values:
        raise RowError(f"{name}: {text[:64]!r} in column `{source.column}` is not among the mapping's values")
    return source.values[text]


def _plain(value: Any) -> str:
    if value is None or isinstance(value, str):
        return (value or "").strip()
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        # A column of whole numbers with gaps is often stored as floats: 42.0 stands for 42.
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _version(value: Any) -> int:
    text = _plain(value) or str(SCHEMA_VERSION)
    if not text.isdecimal():
        raise RowError(f"schema_version: {text[:64]!r} is not a whole number")
    return int(text)


def _measures(mapping: ColumnMapping, row: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in _given(mapping.measures, mapping.measures_object, row, "measures"):
        parsed = number(value, name)
        if parsed is not None:
            found[name] = parsed
    return found


def _attributes(mapping: ColumnMapping, row: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _given(mapping.attributes, mapping.attributes_object, row, "attributes"):
        text = _plain(value)
        if text:
            found[name] = text
    return found


def _given(columns: Mapping[str, str], column: str, row: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    inside = list(_object(row.get(column), name).items()) if column else []
    return inside + [(entry, row.get(own)) for entry, own in columns.items()]


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, list):
        # Parquet's map type arrives as a list of pairs.
        return dict(value)
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError as error:
        raise RowError(f"{name}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RowError(f"{name}: {str(value)[:64]!r} is not an object")
    return found


def number(value: Any, name: str) -> float | None:
    """Return a measure's value, None for an empty cell; raises RowError for anything but a finite number.

    >>> number(" 12.50 ", "amount")
    12.5
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found = math.nan if isinstance(value, bool) or (isinstance(value, str) and "_" in value) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise RowError(f"measure {name}: {str(value)[:64]!r} is not a number")
    return found


def moment(value: Any, source: TimeSource, zone: tzinfo = UTC) -> datetime:
    """Return a time in UTC; one that names no zone is read as a time of `zone`. Raises RowError.

    >>> moment("2026-01-05 10:00", TimeSource("ts")).isoformat()
    '2026-01-05T10:00:00+00:00'
    """
    if value is None or value == "":
        raise RowError(f"occurred_at: column `{source.column}` is empty")
    try:
        found = _moment(value, source.format)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError) as error:
        shown = str(value)[:64]
        raise RowError(
            f"occurred_at: {shown!r} in column `{source.column}` is no time of format {source.format}"
        ) from error


def _moment(value: Any, form: str) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if form in EPOCH_UNITS_US:
        return EPOCH + timedelta(microseconds=_micros(value, EPOCH_UNITS_US[form]))
    if not isinstance(value, str):
        raise TypeError("a number needs one of the epoch formats")
    if form == "iso":
        return datetime.fromisoformat(value.strip())
    return datetime.strptime(value.strip(), form)  # noqa: DTZ007  # `moment` adds the zone that the mapping names


def _micros(value: Any, unit_us: int) -> int:
    whole = int(value) if isinstance(value, int) or str(value).strip().lstrip("-").isdecimal() else None
    return round(float(value) * unit_us) if whole is None else whole * unit_us
