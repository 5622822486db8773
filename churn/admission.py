"""Which records become events: decoding and every check of the contract, record by record and then by column.

A record that fails is refused with a reason and never stops the others. The decision depends on the record and
its arrival time alone, so that every reader of the topic (features, archive, replay) admits the same events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from churn.events import MAX_USER_ID_CHARS, SCHEMA_VERSION, Event, decode
from churn.layout import DAY_US, Int64s, Layout

EARLIEST_US = 0
"""Events before 1970 are refused: no business of ours is older, and such times come from unset clocks."""


class Record(NamedTuple):
    """One message as it lies on the topic."""

    offset: int
    arrived_us: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record that is not an event: why, and where it lies."""

    record: Record
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """Admitted events of one partition as columns, in the order of their offsets.

    Attributes:
        types: index into `layout.event_types`.
        amounts: per event type index and measure name, float64 values for the events of that type, in order.
    """

    events: list[Event]
    offsets: Int64s
    arrived_us: Int64s
    occurred_us: Int64s
    types: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.events)

    @property
    def days(self) -> Int64s:
        """Return the UTC day number of each event."""
        return self.occurred_us // DAY_US

    def take(self, chosen: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Admitted":
        """Return the events at these positions (or where the mask is true)."""
        positions = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        events = self.events
        return Admitted(
            [events[i] for i in positions.tolist()],
            self.offsets[positions],
            self.arrived_us[positions],
            self.occurred_us[positions],
            self.types[positions],
        )

    def between(self, start: int, stop: int) -> "Admitted":
        """Return the events at positions start to stop."""
        return Admitted(
            self.events[start:stop],
            self.offsets[start:stop],
            self.arrived_us[start:stop],
            self.occurred_us[start:stop],
            self.types[start:stop],
        )


class Admission:
    """Admits records by one declaration."""

    def __init__(self, layout: Layout, max_future_us: int) -> None:
        self._layout = layout
        self._max_future_us = max_future_us
        self._code_of = {name: code for code, name in enumerate(layout.event_types)}
        self._bounds = [event.measures for event in layout.declaration.events.values()]
        self._checked = {code for code, measures in enumerate(self._bounds) if measures}

    def admit(self, records: Sequence[Record]) -> tuple[Admitted, list[Refusal]]:
        """Split records into admitted events and refusals; every record ends in exactly one of the two."""
        refusals: list[Refusal] = []
        kept: list[Record] = []
        events: list[Event] = []
        types: list[int] = []
        code_of, checked = self._code_of, self._checked
        for record in records:
            try:
                event = decode(record[3])  # type: ignore[arg-type]  # None (a tombstone) raises TypeError, handled below
                code = code_of[event.event_type]
            except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, RecursionError) as error:
                refusals.append(self._refuse_undecoded(record, error))
                continue
            if record[2] != event.user_id.encode():
                refusals.append(_wrong_key(record, event))
                continue
            if event.schema_version != SCHEMA_VERSION or code in checked:
                refusal = self._refuse_content(record, event, code)
                if refusal is not None:
                    refusals.append(refusal)
                    continue
            kept.append(record)
            events.append(event)
            types.append(code)
        admitted = _columns(kept, events, types)
        return self._plausible(admitted, kept, refusals)

    def _refuse_undecoded(self, record: Record, error: Exception) -> Refusal:
        if isinstance(error, KeyError):
            known = ", ".join(self._layout.event_types)
            return Refusal(
                record, "unknown-type", f"event type {error.args[0]!r:.80} is not declared; declared are {known}"
            )
        if isinstance(error, msgspec.ValidationError):
            return Refusal(record, _validation_reason(str(error)), f"the event breaks the contract: {error}")
        if isinstance(error, TypeError):
            return Refusal(record, "no-value", "the record has no value (a tombstone); this topic takes events alone")
        return Refusal(record, "not-json", f"the value is not a JSON event: {error}")

    def _refuse_content(self, record: Record, event: Event, code: int) -> Refusal | None:
        if event.schema_version != SCHEMA_VERSION:
            seen = f"schema_version {event.schema_version}, this reader knows {SCHEMA_VERSION}"
            return Refusal(record, "wrong-version", f"event {event.event_id}: {seen}")
        measures = event.measures or {}
        for name, bounds in self._bounds[code].items():
            value = measures.get(name)
            if value is None:
                if not bounds.optional:
                    return Refusal(
                        record,
                        "missing-field",
                        f"event {event.event_id}: $.measures.{name} is required on {event.event_type}",
                    )
            elif not bounds.minimum <= value <= bounds.maximum:
                span = f"[{bounds.minimum:g}, {bounds.maximum:g}]"
                return Refusal(
                    record, "out-of-range", f"event {event.event_id}: $.measures.{name} is {value:g}, outside {span}"
                )
        return None

    def _plausible(
        self, admitted: Admitted, kept: list[Record], refusals: list[Refusal]
    ) -> tuple[Admitted, list[Refusal]]:
        ahead = admitted.occurred_us > admitted.arrived_us + self._max_future_us
        before = admitted.occurred_us < EARLIEST_US
        wrong = ahead | before
        if not wrong.any():
            return admitted, refusals
        for position in np.flatnonzero(wrong).tolist():
            event, record = admitted.events[position], kept[position]
            refusals.append(_implausible(event, record, int(admitted.occurred_us[position])))
        return admitted.take(~wrong), sorted(refusals, key=lambda refusal: refusal.record.offset)


def _wrong_key(record: Record, event: Event) -> Refusal:
    # The key chooses the partition, and a user's state lives on one: under another key it would be split over two,
    # whose owners would overwrite each other's vectors.
    shown = "no key" if record.key is None else f"the key {record.key[:MAX_USER_ID_CHARS]!r}"
    return Refusal(
        record, "wrong-key", f"event {event.event_id} of user {event.user_id} came with {shown}; the key is the user_id"
    )


def _implausible(event: Event, record: Record, occurred_us: int) -> Refusal:
    if occurred_us < EARLIEST_US:
        return Refusal(
            record, "implausible-time", f"event {event.event_id}: $.occurred_at {event.occurred_at} is before 1970"
        )
    days = (occurred_us - record.arrived_us) / DAY_US
    return Refusal(
        record, "future-dated", f"event {event.event_id}: $.occurred_at is {days:.2f} days after its arrival"
    )


def _validation_reason(message: str) -> str:
    if "missing required field" in message:
        return "missing-field"
    if "user_id" in message and "length" in message:
        return "over-long-id" if "<=" in message else "empty-id"
    if "event_id" in message and "length" in message:
        return "over-long-id" if "<=" in message else "empty-id"
    return "contract"


def _columns(kept: list[Record], events: list[Event], types: list[int]) -> Admitted:
    seconds = np.array([event.occurred_at.timestamp() for event in events], dtype=np.float64)
    return Admitted(
        events,
        np.array([record[0] for record in kept], dtype=np.int64),
        np.array([record[1] for record in kept], dtype=np.int64),
        # A float64 second resolves 0.24 us at 2^30 s, so rounding gives the exact microsecond.
        np.rint(seconds * 1e6).astype(np.int64),
        np.array(types, dtype=np.int16),
    )


def measure_units(events: Sequence[Event], measure: str, scale: int) -> Int64s:
    """Return a measure of each event in integer units of 1/scale, rounded half to even; absent counts as 0."""
    none: Mapping[str, float] = {}
    values = [(event.measures or none).get(measure, 0.0) for event in events]
    return np.rint(np.array(values, dtype=np.float64) * scale).astype(np.int64)
