"""Snapshots of the learner on disk: model and positions in one file, so that neither is ever ahead of the other."""

import hashlib
import os
from pathlib import Path

import msgspec

from churn.errors import DataError
from churn.fault_points import passing
from churn.scores import Champion
from training.delay_line import Position
from training.online import RIVER_VERSION, OnlineState

FORMAT = 3
"""3: the weights of past midnights, and the champions that were seen."""
KEPT_SNAPSHOTS = 3
PATTERN = "[0-9]" * 10 + "-river-*.json"
"""A copy that somebody made under another name is none of them."""


class Snapshot(msgspec.Struct, frozen=True):
    """A learner and where it stands in each partition: one without the other would lose or repeat labels.

    Attributes:
        champions: the last promotions that it heard of, the latest last; of older ones the models topic may hold no record.
    """

    model: OnlineState
    positions: dict[int, Position]
    champions: list[Champion] = []
    format: int = FORMAT
    river: str = RIVER_VERSION


class _Versions(msgspec.Struct):
    format: int = 1
    river: str = ""


def save(folder: Path, number: int, snapshot: Snapshot) -> Path:
    """Write a snapshot named by its number, the version of River and its own hash; all but the newest three go."""
    data = msgspec.json.encode(snapshot)
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"{number:010d}-river-{RIVER_VERSION}-{digest}.json"
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    passing("learner.before_rename")
    unfinished.replace(path)
    _clean(folder, path)
    return path


def _clean(folder: Path, newest: Path) -> None:
    kept = sorted(folder.glob(PATTERN))[-KEPT_SNAPSHOTS:]
    for old in folder.glob(PATTERN):
        if old not in (*kept, newest):
            old.unlink(missing_ok=True)
    # A kill while writing leaves one of these.
    for unfinished in folder.glob("*.unfinished"):
        unfinished.unlink(missing_ok=True)


def latest(folder: Path) -> tuple[int, Snapshot] | None:
    """Return number and content of the newest snapshot; None when there is none.

    Raises:
        DataError: it was written by another version of River or of this program, or is damaged.
    """
    found = sorted(folder.glob(PATTERN))
    if not found:
        return None
    path = found[-1]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the snapshot cannot be read ({error.strerror}); let this user read it") from error
    if hashlib.sha256(data).hexdigest() != path.stem.rsplit("-", 1)[1]:
        raise DataError(f"{path}: its content is not what its name says; move it away, the snapshot before it is used")
    return int(path.name.split("-", 1)[0]), _decode(path, data)


def _decode(path: Path, data: bytes) -> Snapshot:
    try:
        versions = msgspec.json.decode(data, type=_Versions)
        if versions.river != RIVER_VERSION:
            seen = f"written by River {versions.river or 'of unknown version'}, this is {RIVER_VERSION}"
            raise DataError(f"{path}: {seen}; install that one or move the file away to learn anew")
        if versions.format != FORMAT:
            raise DataError(
                f"{path}: snapshot format {versions.format}, this program reads {FORMAT}; move the file away to learn anew"
            )
        return msgspec.json.decode(data, type=Snapshot)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise DataError(
            f"{path}: not a snapshot that this version can read ({error}); move the file away to learn anew"
        ) from error
