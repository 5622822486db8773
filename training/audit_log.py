"""Who did what with which model version, when and why: a file that only grows, in which each line vouches for the last.

A line is JSON that ends with its own sha256 and carries that of the whole line before. One writer at a time holds the
file's lock, from before the step it records until the line is on the disk. A line cut short by a crash stays where it is:
the next writer ends it and says so in a line of its own.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from churn.errors import DataError, InputError
from churn.model import sha256

AUDIT_FILE = "audit.jsonl"
NOTHING_BEFORE = "0" * 64
SEAL = b',"sha256":"'
SEAL_BYTES = len(SEAL) + 64 + len(b'"}')
Step = Literal[
    "registered", "gate_passed", "gate_failed", "approved", "rejected", "promoted", "rolled_back", "refused",
    "announced", "unannounced", "found", "torn", "challenged", "stood_down",
    "alarm", "triggered", "training_failed", "gave_up",
]  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """One step. `evidence` holds the figures it rests on; `before` is the sha256 of the line before."""

    number: int
    at: datetime
    step: Step
    model: str
    version: str
    who: str
    reason: str
    evidence: dict[str, Any]
    before: str


@dataclass(frozen=True)
class History:
    """What a log says, the earliest first, and what is wrong with it, in sentences."""

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]
    hashes: frozenset[str] = frozenset()
    head: str = NOTHING_BEFORE

    def of(self, model: str, version: str) -> tuple[Entry, ...]:
        """Return the steps of one version of a model."""
        return tuple(entry for entry in self.entries if (entry.model, entry.version) == (model, version))

    def checked(self, anchor: str = "") -> "History":
        """Return this history if it is whole and, where an anchor is kept elsewhere, holds the line of that hash.

        Raises:
            DataError: names the first line that is not as it was written, or says that lines are missing at the end.
        """
        problems = list(self.problems)
        if anchor and anchor not in self.hashes:
            problems.append(f"the line {anchor[:12]} that the registry names as written is missing: lines were cut off")
        if problems:
            raise DataError(f"the audit log is not as it was written: {'; '.join(problems)}; compare it with a backup")
        return self


class Writing:
    """The turn of one writer: what stood before, and adding to it."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path
        self.history = read(path)
        self.head = self.history.head

    def add(
        self,
        at: datetime,
        step: Step,
        model: str,
        version: str,
        who: str,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Append one entry; when it returns, the line is on the disk."""
        content = self._path.read_bytes()
        number = content.count(b"\n")
        if content and not content.endswith(b"\n"):
            self._write(b"\n")
            number += 1
            torn = content[content.rfind(b"\n") + 1 :]
            if _entry(torn) is None:
                number, self.head = number + 1, sha256(torn)
                note = (
                    f"line {number - 1} was cut short by a crash; what it would have said never took effect as an entry"
                )
                self._line(Entry(number, at, "torn", model, "", who, note, {}, self.head))
        entry = Entry(number + 1, at, step, model, version, who, reason, dict(evidence or {}), self.head)
        self._line(entry)
        return entry

    def _line(self, entry: Entry) -> None:
        content = msgspec.json.encode(entry)[:-1]
        line = content + SEAL + sha256(content).encode() + b'"}'
        self._write(line + b"\n")
        self.head = sha256(line)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)


class AuditLog:
    """The log of a models folder."""

    def __init__(self, models_dir: Path) -> None:
        """Name the file; it is made by the first step."""
        self.path = models_dir / AUDIT_FILE

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Hold the log alone while a step is taken; other writers wait.

        Raises:
            InputError: the file cannot be opened for writing, so that no step may be taken.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Writing(descriptor, self.path)
        finally:
            os.close(descriptor)  # lets go of the lock

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            folder = os.open(self.path.parent, os.O_RDONLY)
            os.fsync(folder)  # the name of a new file
            os.close(folder)
        except OSError as error:
            raise InputError(
                f"{self.path}: the audit log cannot be written ({error.strerror}); nothing was changed"
            ) from error
        return descriptor

    def history(self) -> History:
        """Return what the log says; empty before the first step."""
        return read(self.path)


def read(path: Path) -> History:
    """Read a log and check each line against itself and the one before."""
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    torn = lines.pop()
    if torn and _entry(torn) is not None:
        lines, torn = [*lines, torn], b""
    entries = [_entry(line) for line in lines]
    problems = [problem for number in range(len(lines)) for problem in _problems(lines, entries, number)]
    hashes = [sha256(line) for line in lines]
    return History(
        tuple(entry for entry in entries if entry is not None),
        tuple(problems),
        frozenset(hashes),
        hashes[-1] if hashes else NOTHING_BEFORE,
    )


def _problems(lines: Sequence[bytes], entries: Sequence[Entry | None], number: int) -> Iterator[str]:
    entry, before = entries[number], sha256(lines[number - 1]) if number else NOTHING_BEFORE
    if entry is None:
        following = entries[number + 1] if number + 1 < len(entries) else None
        if following is None or following.step != "torn" or following.before != sha256(lines[number]):
            yield f"line {number + 1} is not what was written (its own hash is wrong)"
    elif entry.before != before:
        yield f"line {number + 1} does not follow the line before it: one of the two was changed, or lines between are gone"
    elif entry.number != number + 1:
        yield f"line {number + 1} says that it is entry {entry.number}"


def _entry(line: bytes) -> Entry | None:
    """Return the entry of a line whose own hash is right."""
    content, seal = line[:-SEAL_BYTES], line[-SEAL_BYTES:]
    if seal != SEAL + sha256(content).encode() + b'"}':
        return None
    try:
        return msgspec.json.decode(content + b"}", type=Entry)
    except msgspec.MsgspecError:
        return None
