"""Every kind of record that is not an event lies on the dead-letter topic once, and stops nobody else's events."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from churn.kafka_config import client_config
from churn.topics import ACTIVITY, DEAD_LETTERS, LARGE_MESSAGE_BYTES
from compose.processes import wait_until
from tests.stream_processors.road import Road, event, road

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def changed(old: str, new: str) -> bytes:
    """Return an event of bob with one piece of its text replaced."""
    text = event("bob", "lesson_completed", AT, "e1")[1].decode()
    assert old in text
    return text.replace(old, new).encode()


BAD = [
    ("not-json", b"bob", b"hello"),
    ("not-json", b"bob", b""),
    ("not-json", b"bob", changed('"e1"', '"e\\ud800"')),
    ("not-json", b"bob", event("bob", "session_started", AT, "e1")[1].replace(b"e1", b"\xff\xfe")),
    ("not-json", b"bob", b'{"x":' + b"[" * 100_000),
    ("not-json", b"bob", os.urandom(1_000_000)),
    ("no-value", b"bob", None),
    ("contract", b"bob", b"[]"),
    ("contract", b"bob", changed("+00:00", "")),
    ("wrong-version", b"bob", changed('"schema_version": 1', '"schema_version": 2')),
    ("unknown-type", b"bob", changed("lesson_completed", "lesson_eaten")),
    ("missing-field", b"bob", changed('"minutes"', '"hours"')),
    ("missing-field", b"bob", changed('"user_id": "bob", ', "")),
    ("out-of-range", b"bob", changed("10.0", "1440.1")),
    ("out-of-range", b"bob", changed("10.0", "-1")),
    ("future-dated", b"bob", changed("2026-03", "2999-03")),
    ("implausible-time", b"bob", changed("2026-03", "1969-03")),
    ("over-long-id", b"b" * 129, changed('"bob"', '"' + "b" * 129 + '"')),
    ("over-long-id", b"bob", changed('"e1"', '"' + "e" * 65 + '"')),
    ("empty-id", b"", changed('"bob"', '""')),
    ("empty-id", b"bob", changed('"e1"', '""')),
    ("wrong-key", b"carl", changed("e1", "e2")),
    ("wrong-key", None, changed("e1", "e3")),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("letters")) as found:
        found.stack.start_service("features")
        yield found


def publish(under: Road, records: Sequence[tuple[bytes | None, bytes | None]], **options: str | int) -> None:
    """Publish raw records, to partition 0 where they have no key."""
    producer = Producer({**client_config(under.settings), "message.max.bytes": 8_000_000, **options})
    for key, value in records:
        producer.produce(ACTIVITY.name(under.settings.topic_prefix), value, key, 0 if key is None else -1)
    assert producer.flush(30) == 0


def letters(under: Road) -> list[tuple[Message, dict[str, str]]]:
    return [(message, headers_of(message)) for message in under.read(DEAD_LETTERS)]


def headers_of(message: Message) -> dict[str, str]:
    found: Any = message.headers()  # the stubs also allow a mapping, which no message read has
    return {name: value.decode() for name, value in found}


def place(message: Message) -> tuple[int, int]:
    return message.partition() or 0, message.offset() or 0


def bad_records(under: Road) -> dict[tuple[int, int], tuple[bytes | None, bytes | None]]:
    """Return where the records that are no events lie, and what they are."""
    bad = {(key, value) for _, key, value in BAD}
    found = {place(m): (m.key(), m.value()) for m in under.read(ACTIVITY)}
    return {where: record for where, record in found.items() if record in bad}


def wait_for_letters(under: Road, count: int) -> list[tuple[Message, dict[str, str]]]:
    try:
        wait_until(lambda: len(letters(under)) >= count, 30, f"{count} dead letters")
    except Exception as error:
        raise AssertionError(under.stack.log_path("features").read_text()[-2000:]) from error
    return letters(under)


def test_each_bad_record_becomes_one_letter_with_its_reason_and_place(running: Road) -> None:
    good = [event("ann", "session_started", AT + timedelta(minutes=n), f"g{n}") for n in range(len(BAD))]
    mixed = [(user.encode(), value) for user, value in good]
    publish(running, [record for pair in zip(mixed, [(k, v) for _, k, v in BAD], strict=True) for record in pair])
    found = wait_for_letters(running, len(BAD))
    assert sorted(h["reason"] for _, h in found) == sorted(reason for reason, _, _ in BAD)
    originals = {(int(h["partition"]), int(h["offset"])): (m.key(), m.value()) for m, h in found}
    assert originals == bad_records(running)
    assert {(h["topic"], h["attempts"]) for _, h in found} == {(f"{running.settings.topic_prefix}-activity", "1")}


def test_the_reason_belongs_to_the_record(running: Road) -> None:
    expected = {(key, value): reason for reason, key, value in BAD}
    assert {(m.key(), m.value()): h["reason"] for m, h in letters(running)} == expected


def test_good_neighbours_count_and_bad_records_make_no_users(running: Road) -> None:
    assert running.wait_online_equals_truth() == 1
    vector = running.online(["ann", "bob", "carl"])
    sessions = running.declaration.feature_names.index("sessions_7d")
    assert memoryview(vector["ann"] or b"").cast("f")[sessions] == len(BAD)
    assert (vector["bob"], vector["carl"]) == (None, None)


def test_a_worker_killed_between_bad_records_writes_each_once(running: Road) -> None:
    before = len(letters(running))
    for n in range(6):
        if n == 3:
            running.stack.supervisor.children["features"].kill()
        publish(running, [(key, value) for _, key, value in BAD if value is None or len(value) < 10_000])
    running.stack.start_service("features")
    published = bad_records(running)
    assert len(published) > before + 100
    found = wait_for_letters(running, len(published))
    places = [(int(h["partition"]), int(h["offset"])) for _, h in found]
    assert sorted(places) == sorted(published)


def test_a_record_longer_than_a_letter_is_cut_and_stops_nobody(running: Road) -> None:
    before = len(letters(running))
    user, value = event("dora", "session_started", AT, "d1")
    publish(running, [(b"dora", b"x" * 6_000_000), (user.encode(), value)], **{"compression.type": "lz4"})
    message, headers = wait_for_letters(running, before + 1)[-1]
    assert headers["value_cut_from_bytes"] == "6000000"
    assert LARGE_MESSAGE_BYTES - 100_000 < len(message.value() or b"") < LARGE_MESSAGE_BYTES
    wait_until(lambda: running.online(["dora"])["dora"] is not None, 30, "the event after it counts")


def test_the_worker_counts_them_by_reason(running: Road) -> None:
    assert running.metrics("features")["churn_dead_letters_total"] > 0
    running.stack.check()
