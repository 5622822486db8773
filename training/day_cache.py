"""What whole days of an archive come to, kept on disk, so that a training reads the archive's new days only.

Days are taken in chunks of 32, counted from 1970, and each chunk has parts: its counts, its users, its profile. What is kept of a chunk names everything that it follows from: its
files by name, size and time of change, the declaration's counters and registers, and the code. Whatever is missing,
damaged, or of another origin is made anew, and nothing else is ever returned.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path

import msgspec

from churn.days import day_number
from churn.errors import OutageError
from churn.layout import Layout
from training.provenance import code_hash

CHUNK_DAYS = 32
"""5,000 users make 180,000 events of them: reading one takes 0.1 s, and a year is a dozen of files."""
FORMAT = 1
MAKING = ("training/day_cache.py", "training/day_counts.py", "training/profile.py", "training/reduction.py")
"""The modules that decide what is kept."""
MANIFEST = "chunk.json"


class Manifest(msgspec.Struct, frozen=True):
    """What a chunk follows from, and the sha256 of each of its parts."""

    source: str
    parts: dict[str, str]


@dataclass(frozen=True)
class Chunk:
    """Archive files of whole days, and where what they come to is kept."""

    files: tuple[Path, ...]
    folder: Path
    source: str

    def part(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return a part of the chunk, made by writing to the path that `make` is given unless it is at hand and whole.

        Raises:
            OutageError: it cannot be written.
        """
        path, kept = self.folder / name, self._kept()
        if name in kept and _digest(path) == kept[name]:
            return path
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder / f"{name}.{os.getpid()}.part"
            make(draft)
            digest = _digest(draft)
            draft.replace(path)
            self._keep({**kept, name: digest})
        except OSError as error:
            raise OutageError(
                f"{path}: cannot be written ({error.strerror}); make room, or remove the folder"
            ) from error
        return path

    def _kept(self) -> dict[str, str]:
        try:
            found = msgspec.json.decode((self.folder / MANIFEST).read_bytes(), type=Manifest)
        except (OSError, msgspec.MsgspecError):
            return {}
        return found.parts if found.source == self.source else {}

    def _keep(self, parts: dict[str, str]) -> None:
        draft = self.folder / f"{MANIFEST}.{os.getpid()}.part"
        draft.write_bytes(msgspec.json.encode(Manifest(self.source, parts)))
        draft.replace(self.folder / MANIFEST)


class DayCache:
    """The chunks of one archive by one declaration."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Keep them below `folder`, which is made when it is needed; anything in it may be removed at any time."""
        self._folder = folder
        declared = (layout.event_types, layout.increments, layout.counters, layout.declaration.registers)
        limits = [(name, event.measures) for name, event in layout.declaration.events.items()]
        self._origin = repr((FORMAT, CHUNK_DAYS, code_hash(MAKING), declared, limits))

    def chunks(self, files: Sequence[Path]) -> list[Chunk]:
        """Return the chunks of these files in the order of days; none where a file does not lie in the folder of a day."""
        if not all(path.parent.name.startswith("date=") for path in files):
            return []
        ordered = sorted(files, key=lambda path: (path.parent.name, path))
        return [self._chunk(start, list(found)) for start, found in groupby(ordered, key=_chunk_start)]

    def _chunk(self, start: int, files: Sequence[Path]) -> Chunk:
        facts = hashlib.sha256(self._origin.encode())
        for path in files:
            known = path.stat()
            facts.update(f"{path.parent.name}/{path.name} {known.st_size} {known.st_mtime_ns}\n".encode())
        return Chunk(tuple(files), self._folder / f"days-{start}", facts.hexdigest())


def _chunk_start(path: Path) -> int:
    day = day_number(date.fromisoformat(path.parent.name.removeprefix("date=")))
    return day - day % CHUNK_DAYS


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
