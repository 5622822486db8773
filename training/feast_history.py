"""Snapshots that were built from an archive, put where Feast's `get_historical_features` reads."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from churn.declaration import Declaration
from churn.layout import DAY_US, Floats
from feature_repo.offline import vectors_folder, write_vectors


def put_into_feast(folder: Path, declaration: Declaration, data_dir: Path, name: str) -> int:
    """Write every vector of a folder of snapshots below `data_dir` as of its midnight; returns how many.

    `name` stands for the data set: its files replace those of an earlier run of the same one.
    """
    rows = 0
    for number, path in enumerate(sorted(folder.glob("part-*.parquet"))):
        table = pq.read_table(path)
        days = table.column("as_of").combine_chunks().view("int32").to_numpy().astype(np.int64)
        columns = [table.column(feature).to_numpy() for feature in declaration.feature_names]
        matrix: Floats = np.stack(columns, axis=1).astype(np.float32)
        write_vectors(
            vectors_folder(data_dir), f"{name}-{number:05d}", table.column("user_id").to_pylist(), matrix,
            as_of_us=days * DAY_US, feature_names=declaration.feature_names,
        )  # fmt: skip
        rows += len(table)
    return rows
