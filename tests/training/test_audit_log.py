"""A log that only grows, and in which a change shows."""

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from churn.errors import DataError, InputError
from training.audit_log import AuditLog

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """Return a log of three entries."""
    log = AuditLog(tmp_path / "models")
    for version in ("1", "2", "3"):
        write(log, version)
    return log


def write(log: AuditLog, version: str) -> None:
    with log.writing() as writing:
        writing.add(NOW, "promoted", "churn", version, "ann", 'says "better"\nby far', {"auc": 0.9})


def write_many(folder: Path, who: str) -> None:
    for number in range(40):
        with AuditLog(folder).writing() as writing:
            writing.add(NOW, "approved", "churn", str(number), who, "many at once")


def change(log: AuditLog, old: bytes, new: bytes) -> None:
    log.path.write_bytes(log.path.read_bytes().replace(old, new, 1))


def test_a_log_tells_who_did_what_and_why(log: AuditLog) -> None:
    entries = log.history().checked().entries
    assert [(e.number, e.version, e.who, e.at, e.reason, e.evidence) for e in entries][2] == (
        3, "3", "ann", NOW, 'says "better"\nby far', {"auc": 0.9},
    )  # fmt: skip
    assert [entry.number for entry in entries] == [1, 2, 3]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (b'"version":"1"', b'"version":"9"', "line 1 is not what was written"),
        (b'"version":"3"', b'"version":"9"', "line 3 is not what was written"),
        (b'"auc":0.9', b'"auc":0.99', "line 1 is not what was written"),
        (b'says \\"better\\"', b'says \\"better\\" ', "line 1 is not what was written"),
    ],
)
def test_a_changed_line_is_named(log: AuditLog, old: bytes, new: bytes, named: str) -> None:
    change(log, old, new)
    with pytest.raises(DataError, match=named):
        log.history().checked()


def test_a_removed_line_is_named(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[2])
    with pytest.raises(DataError, match="line 2 does not follow the line before it"):
        log.history().checked()


def test_lines_cut_off_at_the_end_are_missed_by_whoever_kept_the_last_hash(log: AuditLog) -> None:
    head = log.history().head
    log.path.write_bytes(b"".join(log.path.read_bytes().splitlines(keepends=True)[:2]))
    assert log.history().checked().entries[-1].version == "2"
    with pytest.raises(DataError, match="lines were cut off"):
        log.history().checked(anchor=head)


def test_a_line_cut_short_by_a_crash_stays_and_is_told_by_the_next_writer(log: AuditLog) -> None:
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-40])
    write(log, "4")
    assert log.path.read_bytes().startswith(whole[:-40])
    steps = [(entry.number, entry.step, entry.version) for entry in log.history().checked().entries]
    assert steps[2:] == [(4, "torn", ""), (5, "promoted", "4")]


def test_a_line_that_lost_only_its_end_of_line_counts(log: AuditLog) -> None:
    log.path.write_bytes(log.path.read_bytes()[:-1])
    write(log, "4")
    assert [entry.version for entry in log.history().checked().entries] == ["1", "2", "3", "4"]


def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(tmp_path, who)) for who in ("ann", "bob", "cyd")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    entries = AuditLog(tmp_path).history().checked().entries
    assert len(entries) == 120
    assert [e.version for e in entries if e.who == "bob"] == [str(number) for number in range(40)]


def test_no_step_is_taken_when_it_cannot_be_written_down(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"the audit log cannot be written .* nothing was changed"):
        write(AuditLog(tmp_path / "models"), "1")
