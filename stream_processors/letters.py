"""A record that is not an event becomes a dead letter: its own key and bytes, and in the headers why and where from."""

from collections.abc import Sequence
from typing import NamedTuple

from churn.admission import Refusal
from churn.records import Record
from churn.topics import LARGE_MESSAGE_BYTES

MAX_KEY_BYTES = 4096
MAX_VALUE_BYTES = LARGE_MESSAGE_BYTES - 64 * 1024
"""A producer may compress before the broker counts, so a record can be longer than a letter may be.

Without a cut such a record would fail every checkpoint of its partition. 64 KiB are left for key and headers.
"""


Headers = Sequence[tuple[str, bytes]]
ATTEMPTS_HEADER = "churn-attempts"
FIRST_SEEN_HEADER = "churn-first-seen-us"
"""A replayed record carries both to the activity topic, so that a second refusal knows of the first."""
MAX_ATTEMPTS = 1_000_000


LETTERS_PER_SECOND = 1000
"""Of one partition, by the arrival of the records.

A letter costs as much as four events (8 us, the writing included): without a bound, rubbish in every second record
would slow the good ones threefold. Beyond it records are counted; they lie where they lay, on the activity topic.
"""


class Ration:
    """Keeps the first refusals of every second of arrival: which ones does not depend on the size of batches."""

    def __init__(self) -> None:
        self._second = -1
        self._count = 0

    def kept(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Return the refusals that become letters."""
        return [refusal for refusal in refusals if self._keeps(refusal.record.arrived_us // 1_000_000)]

    def _keeps(self, second: int) -> bool:
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= LETTERS_PER_SECOND


class DeadLetter(NamedTuple):
    """What lies on the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]]


def letter_of(topic: str, partition: int, refusal: Refusal, headers: Headers = ()) -> DeadLetter:
    """Return the letter of a refused record of `topic`; a cut key or value is named with its length in the headers."""
    record = refusal.record
    attempts, first_seen_us = _tried(record, headers)
    key, cut_key = _cut(record.key, MAX_KEY_BYTES)
    value, cut_value = _cut(record.value, MAX_VALUE_BYTES)
    facts: list[tuple[str, str | bytes | None]] = [
        ("reason", refusal.reason),
        ("message", refusal.message),
        ("attempts", str(attempts)),
        ("topic", topic),
        ("partition", str(partition)),
        ("offset", str(record.offset)),
        ("first_seen_us", str(first_seen_us)),
        ("last_seen_us", str(record.arrived_us)),
    ]
    if cut_key:
        facts.append(("key_cut_from_bytes", str(cut_key)))
    if cut_value:
        facts.append(("value_cut_from_bytes", str(cut_value)))
    return DeadLetter(key, value, facts)


def _tried(record: Record, headers: Headers) -> tuple[int, int]:
    """Return how often the record was tried, now included, and when it first arrived.

    Anyone may write headers: a number that cannot be is taken for absent.
    """
    if not headers:
        return 1, record.arrived_us
    found = dict(headers)
    attempts = _number(found.get(ATTEMPTS_HEADER), MAX_ATTEMPTS) or 1
    return attempts, _number(found.get(FIRST_SEEN_HEADER), record.arrived_us) or record.arrived_us


def _number(text: bytes | None, most: int) -> int:
    number = int(text) if text is not None and text.isdigit() and len(text) < 20 else 0
    return number if number <= most else 0


def _cut(data: bytes | None, most: int) -> tuple[bytes | None, int]:
    """Return the first bytes, and the whole length when something was cut off."""
    if data is None or len(data) <= most:
        return data, 0
    return data[:most], len(data)
