"""A dead letter is the record itself, unless it is longer than a broker takes."""

import pytest

from churn.admission import Refusal
from churn.records import Record
from stream_processors.letters import Ration, letter_of


def test_a_letter_carries_the_original_bytes_and_where_they_lay() -> None:
    refusal = Refusal(Record(17, 5_000_000, b"ann", b"not json"), "not-json", "the value is not a JSON event")
    letter = letter_of("churn-activity", 3, refusal)
    assert (letter.key, letter.value) == (b"ann", b"not json")
    assert dict(letter.headers) == {
        "reason": "not-json",
        "message": "the value is not a JSON event",
        "attempts": "1",
        "topic": "churn-activity",
        "partition": "3",
        "offset": "17",
        "first_seen_us": "5000000",
        "last_seen_us": "5000000",
    }


def test_a_replayed_record_that_fails_again_says_how_often_and_since_when() -> None:
    refusal = Refusal(Record(17, 5_000_000, b"ann", b"?"), "not-json", "")
    headers = dict(letter_of("t", 3, refusal, [("churn-attempts", b"2"), ("churn-first-seen-us", b"4000000")]).headers)
    assert (headers["attempts"], headers["first_seen_us"], headers["last_seen_us"]) == ("2", "4000000", "5000000")


@pytest.mark.parametrize("text", [b"", b"-1", b"x", b"0", b"9" * 30, "\u00b2".encode()])
def test_headers_that_cannot_be_count_as_absent(text: bytes) -> None:
    refusal = Refusal(Record(17, 5_000_000, b"ann", b"?"), "not-json", "")
    headers = dict(letter_of("t", 3, refusal, [("churn-attempts", text), ("churn-first-seen-us", text)]).headers)
    assert (headers["attempts"], headers["first_seen_us"]) == ("1", "5000000")


def refusals(second: int, count: int) -> list[Refusal]:
    return [Refusal(Record(n, second * 1_000_000 + n, b"ann", b"?"), "not-json", "") for n in range(count)]


@pytest.mark.parametrize("size", [1, 700, 5000])
def test_a_flood_leaves_the_first_thousand_letters_of_each_second(size: int) -> None:
    ration, flood = Ration(), refusals(1, 2500) + refusals(2, 300)
    kept = [r for start in range(0, len(flood), size) for r in ration.kept(flood[start : start + size])]
    assert [r.record.offset for r in kept] == [*range(1000), *range(300)]


def test_a_record_without_key_and_value_stays_without() -> None:
    letter = letter_of("churn-activity", 0, Refusal(Record(0, 0, None, None), "no-value", ""))
    assert (letter.key, letter.value) == (None, None)


def test_what_is_longer_than_a_broker_takes_is_cut_and_says_so() -> None:
    record = Record(0, 0, b"k" * 10_000, b"v" * 9_000_000)
    letter = letter_of("churn-activity", 0, Refusal(record, "not-json", ""))
    assert (len(letter.key or b""), len(letter.value or b"")) == (4096, 4_128_768)
    headers = dict(letter.headers)
    assert (headers["key_cut_from_bytes"], headers["value_cut_from_bytes"]) == ("10000", "9000000")
