"""Every active user's score at one midnight as files: Parquet for programs, CSV for people, a manifest for both.

The same snapshot, models, words and bands give the same bytes, however many threads write them, so a job that is run again
changes nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.declaration import Declaration
from churn.errors import DataError
from churn.fault_points import passing
from churn.model import Scorer
from feature_repo.champion import Challenging, Serving
from training.day_snapshot import DaySnapshot
from training.published import Draft, publishing
from training.score_rows import COLUMNS, SCHEMA, Bands, RowMaker, Rows

PARQUET, SHEET = "scores.parquet", "scores.csv"
THREADS = 2
"""Scoring and encoding leave the interpreter's lock; beyond two threads what is left within it is what is waited for."""
Progress = Callable[[str], None]


class ShareOfUsers(msgspec.Struct, frozen=True):
    """A challenger whose users' rows are its own."""

    version: str
    sha256: str
    """As in the challengers' record, like the champion's."""
    share: float
    """Of all users, 0 to 1."""
    base: float
    """As the champion's, for the rows of this version."""


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a folder of predictions holds; it is replaced in one step, after the files that it names.

    Model, its version, hash and base are the champion's.
    """

    as_of: str
    rows: int
    files: dict[str, str]
    """File name to sha256."""
    model: str
    model_version: str
    model_sha256: str
    """As in the champion's record: what the promoted bundle is known by."""
    base: float
    """Log-odds of the average user: with the contributions of a row it sums to the log-odds of its probability, unless the
    row is a challenger's."""
    feature_set_version: str
    medium_risk: float
    high_risk: float
    archive_from: str
    archive_until: str
    events: int
    snapshot: dict[str, str]
    """File name to sha256 of the vectors that were scored."""
    challengers: tuple[ShareOfUsers, ...] = ()
    """Left out where there is none."""


def score_snapshot(
    snapshot: DaySnapshot,
    *,
    predictions_dir: Path,
    declaration: Declaration,
    serving: Serving,
    bands: Bands,
    progress: Progress = lambda _: None,
) -> Manifest:
    """Score the population of a snapshot into `{predictions_dir}/as_of=YYYY-MM-DD/`, each user by the model that serves the user.

    Raises:
        DataError: the snapshot is damaged, nobody is in its population, or its features are not those of the declaration
            or of a model.
        OutageError: the files cannot be written, or another run is writing them.
    """
    _check(snapshot, declaration, serving)
    snapshot.verify()
    found = snapshot.manifest
    maker = RowMaker(serving, declaration, bands, date.fromisoformat(found.as_of))
    with publishing(predictions_dir / f"as_of={found.as_of}") as draft:
        _write(draft, _in_order(snapshot, maker, THREADS), found.population, progress)
        files = dict(draft.place(name) for name in (PARQUET, SHEET))
        manifest = Manifest(
            found.as_of, found.population, files, serving.scorer.model.name, serving.scorer.version,
            serving.champion.sha256, _base(serving.scorer),
            found.feature_set_version, bands.medium, bands.high, found.archive_from, found.archive_until, found.events,
            found.files, tuple(map(_share, serving.sharing)),
        )  # fmt: skip
        draft.conclude(msgspec.json.format(msgspec.json.encode(manifest), indent=1), set(files))
    return manifest


def _check(snapshot: DaySnapshot, declaration: Declaration, serving: Serving) -> None:
    found, wanted = snapshot.manifest, declaration.feature_set_version
    if found.feature_set_version != wanted:
        raise DataError(
            f"{snapshot.path}: the snapshot is of feature set {found.feature_set_version}, the declaration is {wanted};"
            " build it anew from the archive (`churn score` without --snapshot)"
        )
    for scorer in (serving.scorer, *(scorer for _, scorer in serving.sharing)):
        if scorer.model.feature_set_version != wanted:
            raise DataError(
                f"model {scorer.version} reads feature set {scorer.model.feature_set_version}, the declaration is {wanted};"
                " train a model for it"
            )
    if not found.population:
        raise DataError(
            f"nobody to score as of {found.as_of}: of {found.users:,} users none was active in the"
            f" {declaration.label.horizon_days} days before; the archive has events from {found.archive_from} to {found.archive_until}"
        )


def _in_order(snapshot: DaySnapshot, maker: RowMaker, threads: int) -> Iterator[Rows]:
    """Yield the rows of every block in the snapshot's order; one block more than there are threads is held."""
    waiting: deque[Future[Rows]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for group in range(snapshot.groups()):
            waiting.append(pool.submit(_rows, snapshot, maker, group))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _rows(snapshot: DaySnapshot, maker: RowMaker, group: int) -> Rows:
    passing("daily.scoring")
    return maker.rows(snapshot.read(group))


def _write(draft: Draft, blocks: Iterator[Rows], expected: int, progress: Progress) -> None:
    done = 0
    with _parquet(draft) as parquet, _sheet(draft) as sheet:
        for rows in blocks:
            parquet(rows.table)
            sheet(rows.lines)
            done += len(rows.table)
            progress(f"{done:,} of {expected:,} users")


@contextmanager
def _parquet(draft: Draft) -> Iterator[Callable[[pa.Table], None]]:
    """Give a function that writes a table as one row group."""

    def add(table: pa.Table) -> None:
        with draft.writing(PARQUET):
            writer.write_table(table)

    # Without the schema of Arrow readers see plain texts: that they are coded within the file is no concern of theirs.
    coded = [field.name for field in SCHEMA if pa.types.is_dictionary(field.type)]
    with draft.writing(PARQUET):
        path = draft.path(PARQUET)
        writer = pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=coded, store_schema=False)
    try:
        yield add
    finally:
        with draft.writing(PARQUET):
            writer.close()


@contextmanager
def _sheet(draft: Draft) -> Iterator[Callable[[pa.Buffer], None]]:
    """Give a function that writes lines of CSV below the header."""

    def add(lines: pa.Buffer) -> None:
        with draft.writing(SHEET):
            file.write(lines)

    with draft.writing(SHEET):
        file = draft.path(SHEET).open("wb")
    try:
        file.write(f"{','.join(COLUMNS)}\n".encode())
        yield add
    finally:
        with draft.writing(SHEET):
            file.close()


def _share(challenging: Challenging) -> ShareOfUsers:
    challenger, scorer = challenging
    return ShareOfUsers(challenger.version, challenger.sha256, challenger.share, _base(scorer))


def _base(scorer: Scorer) -> float:
    return float(scorer.score(np.zeros((1, len(scorer.model.features)), np.float32)).base)
