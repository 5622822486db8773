"""Snapshots as Parquet: one row per user and midnight, features by name, and what is known of the label."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.declaration import Declaration
from churn.errors import InputError
from training.dataset import Snapshot

MANIFEST = "manifest.json"
FILE_ROWS = 100_000
"""30 MB in memory, some megabytes on disk: few files, each read at once."""


def schema_of(declaration: Declaration) -> pa.Schema:
    """Return the columns: user_id, as_of (a midnight, UTC), every feature, and four facts about the label."""
    return pa.schema(
        [
            pa.field("user_id", pa.string()),
            pa.field("as_of", pa.date32()),
            *(pa.field(name, pa.float32()) for name in declaration.feature_names),
            pa.field("population", pa.bool_()),
            pa.field("known", pa.bool_()),
            pa.field("churned", pa.bool_()),
            pa.field("silent_days", pa.int32()),
        ]
    )


def table_of(declaration: Declaration, part: Snapshot) -> pa.Table:
    """Return a snapshot as rows; a missing value (NaN) is null."""
    features = [pa.array(column, pa.float32(), mask=np.isnan(column)) for column in part.matrix.T]
    return pa.table(
        [
            pa.array(part.users, pa.string()),
            pa.array(np.full(len(part), part.as_of_day, np.int32)).cast(pa.date32()),
            *features,
            pa.array(part.population),
            pa.array(part.known),
            pa.array(part.churned),
            pa.array(part.silent_days),
        ],
        schema=schema_of(declaration),
    )


def write_parts(folder: Path, declaration: Declaration, parts: Iterable[Snapshot]) -> int:
    """Write `part-00000.parquet`, ... of FILE_ROWS rows or a little more, and return how many rows they hold."""
    rows = 0
    for number, tables in enumerate(_gathered(table_of(declaration, part) for part in parts)):
        table = pa.concat_tables(tables)
        pq.write_table(table, folder / f"part-{number:05d}.parquet", compression="zstd")
        rows += len(table)
    return rows


def _gathered(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    gathered: list[pa.Table] = []
    for table in tables:
        gathered.append(table)
        if sum(len(each) for each in gathered) >= FILE_ROWS:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


class Unfinished:
    """A folder that appears under its name when all of it is written; a context manager that gives where to write."""

    def __init__(self, folder: Path) -> None:
        """Take the name.

        Raises:
            InputError: there is something already.
        """
        if folder.exists():
            raise InputError(f"{folder} is there already; name a folder that is not, or remove it")
        self._folder = folder
        self._place = folder.with_name(f"{folder.name}.unfinished")

    def __enter__(self) -> Path:
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        return self._place

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._place.rename(self._folder)
        else:
            shutil.rmtree(self._place, ignore_errors=True)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write what the files hold and where it comes from."""
    (folder / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
