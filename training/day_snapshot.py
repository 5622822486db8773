"""The feature vectors of one midnight as files: what daily scoring reads, so that it need not read the archive again.

A snapshot is a function of the archived days before its midnight and of the declaration. It names both, and is built
again only when one of them has changed: late events of those days count, events of later days do not.
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.days import day_number, iso
from churn.declaration import Declaration
from churn.errors import DataError, OutageError
from churn.labels import Mask
from churn.layout import Floats
from feature_repo.archive import files
from training.dataset import DataSet
from training.published import MANIFEST, Draft, publishing, sha256, tidy

GROUP_ROWS = 65_536
"""Rows of a row group, 14 MB of vectors: the unit of reading, and so what memory follows."""
FORMAT = 1
FILE = "features.parquet"
Progress = Callable[[str], None]


class SnapshotManifest(msgspec.Struct, frozen=True):
    """What a snapshot holds and from what it was made; the archive's range is that of the events before the midnight."""

    as_of: str
    users: int
    population: int
    features: list[str]
    feature_set_version: str
    archive_from: str
    archive_until: str
    events: int
    source: str
    """sha256 of everything that the vectors are a function of."""
    files: dict[str, str]
    """File name to sha256."""
    format: int = FORMAT


@dataclass(frozen=True)
class Block:
    """Users of the population, by rising user id, and their vectors, float32 [users, features]."""

    users: pa.Array
    matrix: Floats


@dataclass(frozen=True)
class DaySnapshot:
    """A snapshot on disk."""

    path: Path
    manifest: SnapshotManifest

    def verify(self) -> None:
        """Read the file once; raises DataError when it is not what the manifest says."""
        (expected,) = self.manifest.files.values()
        if not self.path.is_file() or sha256(self.path) != expected:
            raise DataError(
                f"{self.path}: missing, or not what its manifest says; remove the folder and run `churn score` to build it anew"
            )

    def groups(self) -> int:
        """Return the number of blocks."""
        return int(pq.read_metadata(self.path).num_row_groups)

    def read(self, group: int) -> Block:
        """Return one block; may be called by several threads.

        Raises:
            OutageError: the file is gone: another run has built the snapshot anew.
        """
        try:
            with pq.ParquetFile(self.path) as file:
                table = file.read_row_group(group, use_threads=False)
        except FileNotFoundError as error:
            raise OutageError(
                f"{self.path}: replaced by another run while it was read; run the command again"
            ) from error
        table = table.filter(table.column(table.num_columns - 1))
        matrix = np.empty((len(table), len(self.manifest.features)), np.float32)
        for column in range(matrix.shape[1]):
            matrix[:, column] = table.column(column + 1).to_numpy()
        return Block(table.column(0).combine_chunks(), matrix)


def opened(folder: Path) -> DaySnapshot:
    """Return the snapshot in a folder.

    Raises:
        DataError: there is none, or not one that this version can read.
    """
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=SnapshotManifest)
    except OSError as error:
        raise DataError(
            f"{folder} holds no snapshot: {MANIFEST} cannot be read ({error.strerror}); name a folder as_of=YYYY-MM-DD of"
            " snapshots/, or leave --snapshot out to build one from the archive"
        ) from error
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: not a snapshot's manifest that this version can read ({error})") from error
    if manifest.format != FORMAT or len(manifest.files) != 1:
        raise DataError(f"{path}: snapshot format {manifest.format}, this program reads {FORMAT}; build it anew")
    return DaySnapshot(folder / next(iter(manifest.files)), manifest)


def current(
    as_of: date,
    *,
    archive_dir: Path,
    snapshots_dir: Path,
    declaration: Declaration,
    user_ttl_days: int = 0,
    progress: Progress = lambda _: None,
) -> DaySnapshot:
    """Return the snapshot of a midnight (UTC), built from the archive unless the one at hand is of the same source.

    Raises:
        DataError: the archive is empty before `as_of`, or ends before the day before it.
        OutageError: the files cannot be written.
    """
    folder = snapshots_dir / f"as_of={as_of.isoformat()}"
    source = Source(declaration, archive_dir, _files_before(as_of, files(archive_dir)), as_of, user_ttl_days)
    digest = source.digest()
    at_hand = _usable(folder)
    if at_hand is not None and at_hand.manifest.source == digest:
        tidy(folder, set(at_hand.manifest.files))
        return at_hand
    with publishing(folder) as draft:
        _build(draft, source, digest, progress)
    return opened(folder)


def _usable(folder: Path) -> DaySnapshot | None:
    try:
        found = opened(folder)
    except DataError:  # none yet, or of another format: it is built
        return None
    return found if found.path.is_file() else None


@dataclass(frozen=True)
class Source:
    """Everything that the vectors of a midnight are a function of."""

    declaration: Declaration
    archive_dir: Path
    files: Sequence[Path]
    as_of: date
    user_ttl_days: int

    def digest(self) -> str:
        """Return a hash; names of archive files stand for their content, which is a function of their offsets."""
        label = self.declaration.label
        facts = (
            FORMAT,
            self.as_of.isoformat(),
            self.declaration.feature_set_version,
            (label.horizon_days, sorted(label.exclude.items())),
            self.user_ttl_days,
            [path.relative_to(self.archive_dir).as_posix() for path in self.files],
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def _files_before(as_of: date, found: Sequence[Path]) -> list[Path]:
    days = {path: path.parent.name.removeprefix("date=") for path in found}
    last = max(days.values(), default="")
    if found and last < (as_of - timedelta(days=1)).isoformat():
        raise DataError(
            f"the archive ends on {last}, users would look silent on {as_of}; score as of the day after or let the archive catch up"
        )
    before = [path for path, day in days.items() if day < as_of.isoformat()]
    if found and not before:
        raise DataError(f"the archive begins on {min(days.values())}: nothing is known before {as_of}")
    return before


def _build(draft: Draft, source: Source, digest: str, progress: Progress) -> None:
    with (
        tempfile.TemporaryDirectory() as scratch,
        DataSet(source.declaration, source.files, Path(scratch), source.user_ttl_days) as data,
    ):
        counts, total = data.counts, len(data.counts.users)
        users = population = 0
        with SnapshotFile(draft, source.declaration.feature_names) as file:
            for part in data.parts([day_number(source.as_of)]):
                file.add(part.users, part.matrix, part.population)
                users, population = users + len(part), population + int(part.population.sum())
                progress(f"vectors of {users:,} users of {total:,}")
        first, last = (iso(day) for day in (counts.first_day, counts.last_day))
        events = counts.events
    name, sha = draft.place(FILE)
    names, version = list(source.declaration.feature_names), source.declaration.feature_set_version
    manifest = SnapshotManifest(
        source.as_of.isoformat(), users, population, names, version, first, last, events, digest, {name: sha}
    )
    draft.conclude(msgspec.json.format(msgspec.json.encode(manifest), indent=1), {name})


class SnapshotFile:
    """Writes vectors in row groups of the same size, however they come; use as a context manager."""

    def __init__(self, draft: Draft, features: Sequence[str]) -> None:
        self._draft = draft
        fields = [("user_id", pa.string()), *((name, pa.float32()) for name in features), ("population", pa.bool_())]
        self._schema = pa.schema(fields)
        self._held: list[pa.Table] = []
        self._rows = 0

    def __enter__(self) -> "SnapshotFile":
        with self._draft.writing(FILE):
            # One text a user: a dictionary of user ids would be built only to be given up.
            coded = self._schema.names[1:-1]
            self._writer = pq.ParquetWriter(
                self._draft.path(FILE), self._schema, compression="zstd", use_dictionary=coded
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        with self._draft.writing(FILE):
            if kind is None:
                self._write(self._rows)
            self._writer.close()

    def add(self, users: Sequence[str], matrix: Floats, population: Mask) -> None:
        """Take users, by rising user id."""
        columns = [pa.array(column) for column in np.ascontiguousarray(matrix.T)]
        arrays = [pa.array(users, pa.string()), *columns, pa.array(population)]
        self._held.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows += len(users)
        with self._draft.writing(FILE):
            self._write(self._rows // GROUP_ROWS * GROUP_ROWS)

    def _write(self, rows: int) -> None:
        if rows:
            table = pa.concat_tables(self._held)
            self._writer.write_table(table.slice(0, rows), row_group_size=GROUP_ROWS)
            self._held, self._rows = [table.slice(rows)], self._rows - rows
