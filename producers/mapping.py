"""Say which columns of somebody's log feed which fields of the contract: a small column mapping.

A mapping is a YAML file:

    columns:
      user_id: customer                       # a column
      event_type: {const: purchase}           # or one value for all; or {column: action, values: {BUY: purchase}}
      occurred_at: {column: day, format: "%d.%m.%Y %H:%M", timezone: Europe/Berlin}
      event_id: receipt                       # optional: without it an id is made of the row and its place in the file
      measures: {amount: total}               # measure: column; an empty cell is no measure
      attributes: {country: land}             # attribute: column; an empty cell is no attribute
    delimiter: ";"                            # of a CSV file; a comma unless told

Without a mapping the columns are the contract's: `event_id` (optional), `user_id`, `event_type`, `occurred_at`,
`schema_version` (optional), a JSON object or struct `measures` and `attributes`, or a column for each, named
`measure_minutes` / `measures.minutes` and `attribute_plan` / `attributes.plan`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from churn.errors import InputError

EPOCH_UNITS_US = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1_000, "epoch_microseconds": 1}
FORMATS = f"iso, {', '.join(EPOCH_UNITS_US)} or a strptime pattern such as %d.%m.%Y"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a text comes from: a column (with its values renamed, if told) or one constant."""

    column: str = ""
    const: str = ""
    values: dict[str, str] | None = None


class TimeSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the time comes from, how it is written, and the zone of times that name none."""

    column: str
    format: str = "iso"
    timezone: str = "UTC"


class _Columns(msgspec.Struct, forbid_unknown_fields=True):
    user_id: str | Source
    event_type: str | Source
    occurred_at: str | TimeSource
    event_id: str = ""
    schema_version: str = ""
    measures: dict[str, str] = msgspec.field(default_factory=dict)
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    columns: _Columns
    delimiter: str = ","


@dataclass(frozen=True)
class ColumnMapping:
    """Which column of a log feeds which field of the contract. Empty text: none."""

    user_id: Source
    event_type: Source
    occurred_at: TimeSource
    zone: tzinfo = UTC
    event_id: str = ""
    schema_version: str = ""
    measures: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    measures_object: str = ""
    attributes_object: str = ""
    delimiter: str = ","

    def columns(self) -> list[str]:
        """Return every column that the mapping names."""
        single = [
            self.user_id.column,
            self.event_type.column,
            self.occurred_at.column,
            self.event_id,
            self.schema_version,
        ]
        named = [
            *single,
            *self.measures.values(),
            *self.attributes.values(),
            self.measures_object,
            self.attributes_object,
        ]
        return [name for name in named if name]


def parse(text: str, where: str) -> ColumnMapping:
    """Read a mapping; `where` names its origin in messages.

    Raises:
        InputError: not YAML, a key that is unknown or missing, an unknown zone, or a delimiter of several characters.
    """
    try:
        document = msgspec.convert(yaml.safe_load(text), _File)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise InputError(
            f"{where}: {error}; a mapping has the keys columns (user_id, event_type, occurred_at, ...)"
        ) from error
    if len(document.delimiter) != 1:
        raise InputError(f"{where}: delimiter {document.delimiter!r} must be one character")
    return _mapping(document, where)


def _mapping(document: _File, where: str) -> ColumnMapping:
    columns = document.columns
    occurred = TimeSource(columns.occurred_at) if isinstance(columns.occurred_at, str) else columns.occurred_at
    if occurred.format not in {"iso", *EPOCH_UNITS_US} and "%" not in occurred.format:
        raise InputError(f"{where}: occurred_at: format {occurred.format!r} is none of {FORMATS}")
    return ColumnMapping(
        user_id=_source(columns.user_id, f"{where}: user_id"),
        event_type=_source(columns.event_type, f"{where}: event_type"),
        occurred_at=occurred,
        zone=_zone(occurred.timezone, where),
        event_id=columns.event_id,
        schema_version=columns.schema_version,
        measures=columns.measures,
        attributes=columns.attributes,
        delimiter=document.delimiter,
    )


def _source(given: str | Source, where: str) -> Source:
    source = Source(column=given) if isinstance(given, str) else given
    if bool(source.column) == bool(source.const):
        raise InputError(f"{where}: give either a column or const")
    return source


def _zone(name: str, where: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"{where}: occurred_at: timezone {name!r} is unknown; name one such as Europe/Berlin"
        ) from error


def of_contract(columns: Iterable[str]) -> ColumnMapping:
    """Return the mapping of a log that uses the contract's own column names."""
    known = list(columns)
    return ColumnMapping(
        user_id=Source(column="user_id"),
        event_type=Source(column="event_type"),
        occurred_at=TimeSource("occurred_at"),
        event_id="event_id" if "event_id" in known else "",
        schema_version="schema_version" if "schema_version" in known else "",
        measures=_prefixed(known, "measure"),
        attributes=_prefixed(known, "attribute"),
        measures_object="measures" if "measures" in known else "",
        attributes_object="attributes" if "attributes" in known else "",
    )


def _prefixed(columns: list[str], kind: str) -> dict[str, str]:
    prefixes = (f"{kind}_", f"{kind}s.")
    return {column[len(p) :]: column for column in columns for p in prefixes if column.startswith(p) and column != p}


def check(mapping: ColumnMapping, columns: Iterable[str], where: str) -> None:
    """Raise InputError naming the columns that the mapping wants and the file `where` does not have."""
    seen = list(columns)
    missing = sorted(set(mapping.columns()) - set(seen))
    if missing:
        raise InputError(
            f"{where}: no column {', '.join(missing)}; the file has {', '.join(seen) or 'none'}. "
            "Name its columns in a mapping file"
        )
