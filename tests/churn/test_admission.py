"""Every record is either an event or refused with a reason, whatever its bytes are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.admission import measure_units
from churn.records import Record
from tests.churn.histories import ADMISSION, Happening, at, record

GOOD = record(Happening("ann", "read", at(0), 5.0), 0)
TEXT = (GOOD.value or b"").decode()


def reason(value: bytes | None, key: bytes | None = b"ann", arrived_us: int = at(1)) -> tuple[str, str]:
    """Return why a record is refused."""
    admitted, (refusal,) = ADMISSION.admit([Record(7, arrived_us, key, value)])
    assert len(admitted) == 0
    return refusal.reason, refusal.message


@pytest.mark.parametrize(
    ("value", "why", "message"),
    [
        (None, "no-value", "no value"),
        (b"", "not-json", "not a JSON event"),
        (b'{"x":' + b"[" * 100_000, "not-json", "maximum recursion depth"),
        (b"\xff", "not-json", "malformed"),
        (b"[1]", "contract", "Expected `object`, got `array`"),
        (b"{}", "missing-field", "missing required field `event_id`"),
        (TEXT.replace('"e0"', '""').encode(), "empty-id", "$.event_id"),
        (TEXT.replace('"ann"', '"' + "a" * 129 + '"').encode(), "over-long-id", "length <= 128 - at `$.user_id`"),
        (TEXT.replace("+00:00", "").encode(), "contract", "timezone"),
        (TEXT.replace('"read"', '"eaten"').encode(), "unknown-type", "'eaten' is not declared; declared are joined,"),
        (TEXT.replace(": 1,", ": 3,").encode(), "wrong-version", "schema_version 3, this reader knows 1"),
        (TEXT.replace("minutes", "hours").encode(), "missing-field", "$.measures.minutes is required on read"),
        (TEXT.replace("5.0", "1000.5").encode(), "out-of-range", "$.measures.minutes is 1000.5, outside [0, 1000]"),
        (TEXT.replace("2024-", "1969-").encode(), "implausible-time", "before 1970"),
        (TEXT.replace("2024-", "2025-").encode(), "future-dated", "364.00 days after its arrival"),
    ],
)
def test_each_refusal_names_what_was_seen(value: bytes | None, why: str, message: str) -> None:
    assert "2024-10-04" in TEXT
    found, text = reason(value)
    assert found == why
    assert message in text


def test_the_key_must_be_the_user() -> None:
    assert reason(GOOD.value, b"bob") == (
        "wrong-key",
        "event e0 of user ann came with the key b'bob'; the key is the user_id",
    )
    assert reason(GOOD.value, None)[1].endswith("came with no key; the key is the user_id")


def test_ten_minutes_ahead_of_its_arrival_is_the_limit() -> None:
    ten_minutes_us = 600_000_000
    assert len(ADMISSION.admit([GOOD._replace(arrived_us=at(0) - ten_minutes_us)])[0]) == 1
    assert reason(GOOD.value, arrived_us=at(0) - ten_minutes_us - 1)[0] == "future-dated"


def test_neighbours_of_a_bad_record_are_admitted_and_refusals_keep_their_order() -> None:
    future = record(Happening("ann", "read", at(9), 5.0), 1, at(0))
    records = [GOOD, future, Record(2, at(0), b"ann", b"?"), record(Happening("bob", "joined", at(0)), 3)]
    admitted, refusals = ADMISSION.admit(records)
    assert admitted.offsets.tolist() == [0, 3]
    assert [refusal.record.offset for refusal in refusals] == [1, 2]


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.builds(lambda a, b: TEXT.replace(a, b).encode(), st.sampled_from(TEXT), st.text(max_size=3))
)
def test_no_bytes_stop_the_reader(value: bytes) -> None:
    admitted, refusals = ADMISSION.admit([Record(0, at(1), b"ann", value), GOOD._replace(offset=1)])
    assert len(admitted) + len(refusals) == 2
    assert admitted.offsets.tolist()[-1] == 1


def test_microseconds_are_exact() -> None:
    late = Happening("ann", "read", at(0) + 123_457, 5.0)
    assert ADMISSION.admit([record(late, 0)])[0].occurred_us.tolist() == [at(0) + 123_457]


def test_measures_become_integers_rounded_half_to_even() -> None:
    values = [TEXT.replace("5.0", text).encode() for text in ("0.125", "0.135", "2")]
    admitted, _ = ADMISSION.admit([Record(n, at(1), b"ann", value) for n, value in enumerate(values)])
    assert measure_units(admitted.measures["minutes"], 100).tolist() == [12, 14, 200]


def test_absent_measure_is_no_unit() -> None:
    assert measure_units(np.array([np.nan, 1.0]), 100).tolist() == [0, 100]
