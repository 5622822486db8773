"""The true probabilities of a synthetic business, joined to the rows that a model is judged by."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.errors import DataError
from churn.layout import DAY_US


def true_probabilities(folder: Path, users: Sequence[str], days: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return the true probability of each (user, midnight), NaN where the truth does not know it.

    `folder` holds Parquet files with user_id, as_of and churn_probability.

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
    query = f"""SELECT place, churn_probability FROM asked JOIN
        (SELECT user_id, epoch_us(as_of) AS as_of_us, churn_probability FROM read_parquet(?, hive_partitioning = false)) AS truth
        ON asked.user_id = truth.user_id AND asked.day::BIGINT * {DAY_US} = truth.as_of_us"""  # noqa: S608  # a constant of ours
    found = database.execute(query, [str(folder / "**" / "*.parquet")]).fetchnumpy()
    database.close()
    probabilities = np.full(len(users), np.nan)
    probabilities[found["place"]] = found["churn_probability"]
    return probabilities
