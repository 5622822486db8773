"""A record that is not an event becomes a dead letter: its own key and bytes, and in the headers why and where from."""

from typing import NamedTuple

from churn.admission import Refusal
from churn.topics import LARGE_MESSAGE_BYTES

MAX_KEY_BYTES = 4096
MAX_VALUE_BYTES = LARGE_MESSAGE_BYTES - 64 * 1024
"""A producer may compress before the broker counts, so a record can be longer than a letter may be.

Without a cut such a record would fail every checkpoint of its partition. 64 KiB are left for key and headers.
"""


class DeadLetter(NamedTuple):
    """What lies on the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]]


def letter_of(topic: str, partition: int, refusal: Refusal) -> DeadLetter:
    """Return the letter of a refused record of `topic`; a cut key or value is named with its length in the headers."""
    record = refusal.record
    key, cut_key = _cut(record.key, MAX_KEY_BYTES)
    value, cut_value = _cut(record.value, MAX_VALUE_BYTES)
    facts: dict[str, object] = {
        "reason": refusal.reason,
        "message": refusal.message,
        "attempts": 1,
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "arrived_us": record.arrived_us,
    }
    facts |= {"key_cut_from_bytes": cut_key} if cut_key else {}
    facts |= {"value_cut_from_bytes": cut_value} if cut_value else {}
    return DeadLetter(key, value, [(name, str(fact)) for name, fact in facts.items()])


def _cut(data: bytes | None, most: int) -> tuple[bytes | None, int]:
    """Return the first bytes, and the whole length when something was cut off."""
    if data is None or len(data) <= most:
        return data, 0
    return data[:most], len(data)
