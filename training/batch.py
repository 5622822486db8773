"""Every active user's score at one midnight as files: Parquet for programs, CSV for people, a manifest for both.

The same archive and model give the same bytes, so a job that is run again changes nothing.
"""

import csv
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from churn.declaration import Declaration
from churn.errors import DataError
from churn.model import Scorer
from churn.reasons import TOP_REASONS, Explainer
from churn.scores import BANDS, band_codes
from feature_repo.archive import files
from training.dataset import DataSet, Sampling, Snapshot
from training.train import day_number

COLUMNS = ("user_id", "as_of", "churn_probability", "band", "reason_1", "reason_2", "reason_3", "model_version")
SCHEMA = pa.schema(
    [
        (name, {"as_of": pa.timestamp("us", tz="UTC"), "churn_probability": pa.float64()}.get(name, pa.string()))
        for name in COLUMNS
    ]
)
PROBABILITY_DIGITS = 6


class Manifest(msgspec.Struct, frozen=True):
    """What a folder of predictions holds; written last, so a folder without one is unfinished."""

    as_of: str
    rows: int
    files: dict[str, str]
    """File name to sha256."""
    model: str
    model_version: str
    feature_set_version: str
    archive_from: str
    archive_until: str
    events: int


@dataclass(frozen=True)
class Bands:
    """Probabilities from which a user is of medium or high risk."""

    medium: float
    high: float


def score_all(
    as_of: date,
    *,
    archive_dir: Path,
    predictions_dir: Path,
    declaration: Declaration,
    scorer: Scorer,
    bands: Bands,
    user_ttl_days: int = 0,
) -> Manifest:
    """Score the population at midnight (UTC) of `as_of` into `{predictions_dir}/as_of=YYYY-MM-DD/`.

    Raises:
        DataError: the archive is empty, or ends before the day before `as_of`, or the model reads other features.
    """
    if scorer.model.feature_set_version != declaration.feature_set_version:
        raise DataError(
            f"model {scorer.version} reads feature set {scorer.model.feature_set_version}, the declaration is {declaration.feature_set_version}"
        )
    folder = predictions_dir / f"as_of={as_of.isoformat()}"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        DataSet(declaration, files(archive_dir), Path(scratch), user_ttl_days) as data,
    ):
        until = _iso(data.counts.last_day)
        if data.counts.last_day < day_number(as_of) - 1:
            raise DataError(
                f"the archive ends on {until}, users would look silent on {as_of}; score as of the day after or let the archive catch up"
            )
        rows = _Rows(scorer, Explainer(declaration), bands)
        count, hashes = _write(folder, rows.tables(data, as_of))
        origin = (_iso(data.counts.first_day), until, data.counts.events)
    manifest = Manifest(
        as_of.isoformat(), count, hashes, scorer.model.name, scorer.version, declaration.feature_set_version, *origin
    )
    _place(folder / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest


@dataclass(frozen=True)
class _Rows:
    """Turns snapshots into rows of the files."""

    scorer: Scorer
    explainer: Explainer
    bands: Bands

    def tables(self, data: DataSet, as_of: date) -> Iterator[pa.Table]:
        """Yield one table a block of users, by rising user id."""
        midnight = datetime.combine(as_of, time(), UTC)
        for part in data.parts([day_number(as_of)], Sampling(population_only=True)):
            if len(part):
                yield self._table(part, midnight)

    def _table(self, part: Snapshot, midnight: datetime) -> pa.Table:
        scored = self.scorer.score(part.matrix)
        reasons = self.explainer.reasons(part.matrix, scored.contributions)
        codes = band_codes(scored.probability, self.bands.medium, self.bands.high)
        texts = [[row[i].text if i < len(row) else None for row in reasons] for i in range(TOP_REASONS)]
        columns = [
            part.users,
            [midnight] * len(part),
            scored.probability.round(PROBABILITY_DIGITS),
            [BANDS[code] for code in codes.tolist()],
            *texts,
            [self.scorer.version] * len(part),
        ]
        return pa.table([pa.array(c, field.type) for c, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def _write(folder: Path, tables: Iterator[pa.Table]) -> tuple[int, dict[str, str]]:
    """Write both files beside their places, then move them there; returns rows and hashes."""
    rows = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as name:
        parquet, sheet = Path(name) / "scores.parquet", Path(name) / "scores.csv"
        with (
            pq.ParquetWriter(parquet, SCHEMA, compression="zstd") as writer,
            sheet.open("w", newline="", encoding="utf-8") as file,
        ):
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(COLUMNS)
            for table in tables:
                writer.write_table(table)
                lines.writerows(_lines(table))
                rows += len(table)
        hashes = {path.name: _sha256(path) for path in (parquet, sheet)}
        for path in (parquet, sheet):
            _keep(path, folder / path.name)
    return rows, hashes


def _lines(table: pa.Table) -> Iterator[list[object]]:
    for row in table.to_pylist():
        shown = row | {
            "as_of": row["as_of"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "churn_probability": f"{row['churn_probability']:.{PROBABILITY_DIGITS}f}",
        }
        yield [shown[name] for name in COLUMNS]


def _keep(path: Path, target: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)


def _place(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(data)
    _keep(unfinished, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _iso(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()
