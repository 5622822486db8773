"""The true probabilities of a synthetic business, joined to the rows that a model is judged by."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.errors import DataError
from churn.layout import DAY_US

HIDDEN = "churn_probability"
"""Given the hidden state: what nobody can know who only reads the events."""
OBSERVABLE = "observable_churn_probability"
"""All that the events can tell; folders of before it was written have none."""


def true_probabilities(
    folder: Path, users: Sequence[str], days: npt.NDArray[np.int32], column: str = HIDDEN
) -> npt.NDArray[np.float64]:
    """Return the true probability of each (user, midnight), NaN where the truth does not know it.

    `folder` holds Parquet files with user_id, as_of and the probability `column`, HIDDEN or OBSERVABLE.

    Raises:
        DataError: the folder holds none.
    """
    if not any(folder.rglob("*.parquet")):
        raise DataError(
            f"{folder}: no truth is written there; produce the synthetic business with it, or leave the folder out"
        )
    asked = pa.table({"place": np.arange(len(users)), "user_id": pa.array(users, pa.string()), "day": pa.array(days)})
    database = duckdb.connect()
    database.register("asked", asked)
    files = [str(folder / "**" / "*.parquet")]
    truth = "read_parquet(?, hive_partitioning = false, union_by_name = true)"
    columns = {name for name, *_ in database.execute(f"DESCRIBE SELECT * FROM {truth}", files).fetchall()}  # noqa: S608  # a constant of ours
    query = f"""SELECT place, coalesce({column if column in columns else "NULL"}, 'nan'::DOUBLE) AS probability
        FROM asked JOIN {truth} AS truth
        ON asked.user_id = truth.user_id AND asked.day::BIGINT * {DAY_US} = epoch_us(truth.as_of)"""  # noqa: S608  # constants of ours
    found = database.execute(query, files).fetchnumpy()
    database.close()
    probabilities = np.full(len(users), np.nan)
    probabilities[found["place"]] = found["probability"]
    return probabilities
