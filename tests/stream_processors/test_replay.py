"""Dead letters are listed, shown and replayed; what fails again says so, and what succeeds counts once."""

import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from churn.topics import DEAD_LETTERS
from compose.processes import wait_until
from tests.compose.shell import Shell
from tests.stream_processors.road import Road, event, road

AHEAD = event("ann", "session_started", datetime.now(UTC) + timedelta(hours=2), "ahead")
PATIENT = {"CHURN_MAX_FUTURE_MINUTES": "1440"}
"""The fix after which an event dated two hours ahead is admitted."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("replay"), CHURN_PARTITIONS="1") as found:
        found.stack.start_service("features")
        found.publish([("ann", b"rubbish"), AHEAD])
        wait_for_letters(found, 2)
        yield found


@pytest.fixture
def shell(running: Road) -> Shell:
    return Shell({k: v for k, v in running.stack.environment().items() if k.startswith("CHURN_")})


def headers(under: Road) -> list[dict[str, str]]:
    found: list[Any] = [message.headers() or [] for message in under.read(DEAD_LETTERS)]
    return [{name: value.decode() for name, value in pairs} for pairs in found]


def wait_for_letters(under: Road, count: int) -> list[dict[str, str]]:
    def there() -> list[dict[str, str]]:
        return [found for found in headers(under) if "reason" in found]

    wait_until(lambda: len(there()) >= count, 30, f"{count} letters")
    return there()


def test_list_counts_by_reason_and_shows_the_newest(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "letters.json"
    lines = shell.succeed("dead-letters", "list", "--newest", "1", "--json", str(file)).splitlines()
    assert sorted(line.split() for line in lines[:2]) == [["1", "future-dated"], ["1", "not-json"]]
    assert lines[2].split() == ["2", "in", "all;", "0", "letters", "were", "replayed"]
    assert lines[3].startswith("0 1  ")
    found = json.loads(file.read_text())
    assert found["by_reason"] == {"future-dated": 1, "not-json": 1}
    assert [letter["offset"] for letter in found["newest"]] == ["1"]


def test_list_of_one_reason_leaves_the_others_out(shell: Shell) -> None:
    text = shell.succeed("dead-letters", "list", "--reason", "not-json")
    assert "not-json" in text
    assert "future-dated" not in text


def test_show_prints_bytes_and_headers(shell: Shell) -> None:
    lines = dict(line.split(maxsplit=1) for line in shell.succeed("dead-letters", "show", "0", "0").splitlines())
    assert (lines["reason"], lines["attempts"], lines["replayed"]) == ("not-json", "1", "no")
    assert lines["value"] == "7 bytes: rubbish"


def test_show_of_no_letter_ends_with_a_sentence(shell: Shell) -> None:
    result = shell.run("dead-letters", "show", "0", "99")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no dead letter is of partition 0, offset 99" in result.stderr


def test_a_dry_run_changes_nothing(running: Road, shell: Shell) -> None:
    before = headers(running)
    result = shell.run("dead-letters", "replay", "--dry-run", **PATIENT)
    assert result.stdout.splitlines()[0] == "1 letters would be replayed"
    assert headers(running) == before


def test_letters_that_are_still_no_events_stay(running: Road, shell: Shell) -> None:
    lines = shell.succeed("dead-letters", "replay").splitlines()
    assert lines[0] == "0 letters replayed"
    assert lines[1].startswith("2 are still refused")


def test_a_letter_that_fails_again_carries_two_attempts_and_its_first_time(running: Road, shell: Shell) -> None:
    # The command has the fix, the worker has not.
    result = shell.run("dead-letters", "replay", "--reason", "future-dated", **PATIENT)
    assert result.stdout == "1 letters replayed\n"
    first, second = (found for found in wait_for_letters(running, 3) if found["reason"] == "future-dated")
    assert (first["attempts"], second["attempts"]) == ("1", "2")
    assert second["first_seen_us"] == first["first_seen_us"] == first["last_seen_us"]
    assert int(second["last_seen_us"]) > int(second["first_seen_us"])


def test_a_replayed_letter_is_not_replayed_again_and_its_event_counts_once(running: Road, shell: Shell) -> None:
    running.stack.supervisor.children["features"].stop()
    running.stack.start_service("features", extra=PATIENT)
    result = shell.run("dead-letters", "replay", "--partition", "0", "--offset", "1", **PATIENT)
    assert result.stdout.splitlines() == ["0 letters replayed", "1 were replayed before"]
    for expected in (["1 letters replayed", "1 are still", "1 were"], ["0 letters replayed", "1 are still", "2 were"]):
        lines = shell.run("dead-letters", "replay", **PATIENT).stdout.splitlines()
        assert [
            " ".join(line.split()[: len(want.split())]) for line, want in zip(lines, expected, strict=True)
        ] == expected
    running.publish([AHEAD])  # as a replay killed before its mark would
    sessions = running.declaration.feature_names.index("sessions_7d")
    wait_until(lambda: running.online(["ann"])["ann"] is not None, 30, "the event counts")
    wait_until(lambda: running.metrics("features")["churn_duplicate_events_total"] == 1, 30, "its copy does not")
    assert struct.unpack_from("<f", running.online(["ann"])["ann"] or b"", 4 * sessions) == (1.0,)


def test_half_a_place_ends_with_a_sentence(shell: Shell) -> None:
    result = shell.run("dead-letters", "replay", "--offset", "1")
    assert result.exit_code == 2
    assert "give --partition and --offset together" in result.stderr


def test_letters_of_a_missing_topic_say_what_to_do(shell: Shell) -> None:
    result = shell.run("dead-letters", "list", CHURN_TOPIC_PREFIX="nobody")
    assert result.exit_code == 2
    assert "topic nobody-dead-letters does not exist; run `churn topics`" in result.stderr
