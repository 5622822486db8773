"""Requests are taken; what is none is set aside, whatever stands in it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from churn.errors import InputError
from training.loop.requests import Request, ask, asked, done

AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_they_are_there_until_they_are_done_the_earliest_first(tmp_path: Path) -> None:
    second = ask(tmp_path, Request("bob", "later", AT.replace(hour=1)))
    first = ask(tmp_path, Request("ann", "new prices", AT))
    assert [(cause.who, cause.key) for cause in asked(tmp_path)] == [("ann", first), ("bob", second)]
    done(tmp_path, first)
    done(tmp_path, first)
    assert [cause.key for cause in asked(tmp_path)] == [second]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"who":"ann","reason":"no zone","at":"2026-03-01T00:00:00"}',
        b'{"who":"\xff","reason":"no text","at":"2026-03-01T00:00:00Z"}',
        b'{"who":"ann","reason":"no argument \\u0000","at":"2026-03-01T00:00:00Z"}',
        b'{"who":" ","reason":"nobody","at":"2026-03-01T00:00:00Z"}',
    ],
)
def test_what_is_no_request_is_set_aside_and_stops_no_other(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    key = ask(tmp_path, Request("ann", "new prices", AT))
    assert [cause.key for cause in asked(tmp_path)] == [key]
    assert (tmp_path / "bad.refused").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/requests: a request cannot be written there .*; nothing was asked for"):
        ask(tmp_path / "file" / "requests", Request("ann", "new prices", AT))
