"""A dead letter is the record itself, unless it is longer than a broker takes."""

from churn.admission import Record, Refusal
from stream_processors.letters import letter_of


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
        "arrived_us": "5000000",
    }


def test_a_record_without_key_and_value_stays_without() -> None:
    letter = letter_of("churn-activity", 0, Refusal(Record(0, 0, None, None), "no-value", ""))
    assert (letter.key, letter.value) == (None, None)


def test_what_is_longer_than_a_broker_takes_is_cut_and_says_so() -> None:
    record = Record(0, 0, b"k" * 10_000, b"v" * 9_000_000)
    letter = letter_of("churn-activity", 0, Refusal(record, "not-json", ""))
    assert (len(letter.key or b""), len(letter.value or b"")) == (4096, 4_128_768)
    headers = dict(letter.headers)
    assert (headers["key_cut_from_bytes"], headers["value_cut_from_bytes"]) == ("10000", "9000000")
