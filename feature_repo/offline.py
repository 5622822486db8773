"""The offline source: what the system computed, as Parquet files that `get_historical_features` reads.

`{data_dir}/feast/user_features/day=2026-01-05/{name}.parquet`; a file appears whole or not at all, and writing
the same name again replaces it, so that a replay leaves no duplicates.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.encoding import JOIN_KEY
from feature_repo.layout import SCORE_FIELDS, USER_FEATURES, USER_SCORE
from feature_repo.rows import Floats, Micros

EVENT_TIME = "event_timestamp"
DAY_US = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def vectors_folder(data_dir: Path) -> Path:
    """Return the folder of the feature vectors."""
    return data_dir.absolute() / "feast" / USER_FEATURES


def scores_folder(data_dir: Path) -> Path:
    """Return the folder of the scores."""
    return data_dir.absolute() / "feast" / USER_SCORE


def write_vectors(
    folder: Path,
    name: str,
    user_ids: Sequence[str],
    matrix: Floats,
    *,
    as_of_us: int | Micros,
    feature_names: Sequence[str],
) -> list[Path]:
    """Write vectors float32 [n, features], one file a UTC day; NaN becomes null. Return the files.

    `name` identifies the rows (source partition and offset, say): the same name replaces the same files.
    """
    columns = {n: pa.array(matrix[:, i], pa.float32(), from_pandas=True) for i, n in enumerate(feature_names)}
    return _write(folder, name, user_ids, as_of_us, columns)


def write_scores(
    folder: Path,
    name: str,
    user_ids: Sequence[str],
    probability: Floats,
    *,
    band: Sequence[str],
    model_version: Sequence[str] | str,
    top_reason: Sequence[str],
    as_of_us: int | Micros,
) -> list[Path]:
    """Write scores, one file a UTC day. Return the files."""
    versions = [model_version] * len(user_ids) if isinstance(model_version, str) else model_version
    arrays = [
        pa.array(np.asarray(probability, np.float32)),
        *(pa.array(c, pa.string()) for c in (band, versions, top_reason)),
    ]
    return _write(folder, name, user_ids, as_of_us, dict(zip(SCORE_FIELDS, arrays, strict=True)))


def _write(
    folder: Path, name: str, user_ids: Sequence[str], as_of_us: int | Micros, columns: dict[str, pa.Array]
) -> list[Path]:
    micros = np.broadcast_to(np.asarray(as_of_us, np.int64), (len(user_ids),))
    head = {
        JOIN_KEY: pa.array(user_ids, pa.string()),
        EVENT_TIME: pa.array(micros, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
    }
    table = pa.table(head | columns)
    return [_replace(folder / f"day={day}" / f"{name}.parquet", table.take(rows)) for day, rows in _days(micros)]


def _days(micros: Micros) -> Iterator[tuple[str, pa.Array]]:
    days = micros // DAY_US
    for day in np.unique(days).tolist():
        yield (EPOCH + timedelta(days=day)).date().isoformat(), pa.array(np.flatnonzero(days == day))


def _replace(path: Path, table: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readers take every *.parquet of the folder: a file being written must not look like one.
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    return unfinished.replace(path)
