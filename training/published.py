"""Folders that others read while they are replaced: files named by their content, and one manifest that names them.

A file gets its name when it is whole, and a name says the hash of the content; `manifest.json` is replaced in one step after
all files that it names, and what it no longer names goes afterwards. So a reader that follows the manifest sees one run or
the other, never a mixture, at whatever moment a run is killed. What a killed run left goes with the next.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from churn.errors import OutageError
from churn.fault_points import passing

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"
HASH_CHARS = 12


class Draft:
    """Files of a folder in the making; use as `with publishing(folder) as draft`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unfinished = folder / UNFINISHED

    def path(self, name: str) -> Path:
        """Return where to write a file until it is placed."""
        return self._unfinished / name

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Turn what the disk refuses into a sentence; raises OutageError, and nothing that readers see has changed."""
        try:
            yield
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise OutageError(
                f"{self.folder / name}: cannot be written ({why}); what was there before is untouched, run the command again"
                " when there is space"
            ) from error

    def place(self, name: str) -> tuple[str, str]:
        """Give a whole file its name for readers, `stem-hash.suffix`; returns that name and the full sha256."""
        passing("daily.before_file")
        with self.writing(name):
            path = self.path(name)
            digest = sha256(path)
            target = self.folder / f"{path.stem}-{digest[:HASH_CHARS]}{path.suffix}"
            # The same content stays in place untouched, so that a run that is repeated changes nothing.
            if not (target.exists() and sha256(target) == digest):
                _replace(path, target)
        passing("daily.after_file")
        return target.name, digest

    def conclude(self, manifest: bytes, named: set[str]) -> None:
        """Let readers see the files of this run: replace the manifest, then remove what it does not name."""
        passing("daily.before_manifest")
        with self.writing(MANIFEST):
            target = self.folder / MANIFEST
            if not target.exists() or target.read_bytes() != manifest:
                self.path(MANIFEST).write_bytes(manifest)
                _replace(self.path(MANIFEST), target)
        passing("daily.after_manifest")
        for path in _unnamed(self.folder, named):
            path.unlink()


@contextmanager
def publishing(folder: Path) -> Iterator[Draft]:
    """Give a draft of the folder's next content; one that is not concluded changes nothing for readers.

    Raises:
        OutageError: another run is at work in the folder, or it cannot be written.
    """
    draft = Draft(folder)
    with draft.writing(""):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        unfinished = folder / UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        with draft.writing(""):
            unfinished.mkdir()
        try:
            yield draft
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def tidy(folder: Path, named: set[str]) -> None:
    """Remove what a killed run left beside the files that the manifest names."""
    if (folder / UNFINISHED).exists() or _unnamed(folder, named):
        with publishing(folder):
            for path in _unnamed(folder, named):
                path.unlink()


def _unnamed(folder: Path, named: set[str]) -> list[Path]:
    return [path for path in folder.iterdir() if path.name not in {MANIFEST, UNFINISHED, *named}]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    # The lock ends with the process that holds it, however that ends, and leaves no file behind.
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutageError(f"{folder}: another run is writing here; wait until it has ended") from error


def _replace(path: Path, target: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)  # or a power cut could keep the manifest and lose a name in it
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
