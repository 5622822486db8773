"""The data set on Spark, for those whom one machine no longer serves: the same expression, the same code behind it.

Spark reduces events to days by what `training.reduction` says, deals users into buckets by the hash of their ids, and
each bucket becomes snapshots on an executor by the code that serves DuckDB's blocks (`training.dataset.Snapshots`).
Executors need this package installed, as they need Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

from churn.declaration import Declaration
from churn.errors import DataError
from churn.layout import Layout, layout_of
from training.dataset import BLOCK_USERS, EVERYONE, Block, Sampling, Snapshots
from training.dataset_files import schema_of, table_of
from training.day_counts import day_rows
from training.reduction import EVENTS, reducing_query, users_query

KINDS: Mapping[pa.DataType, t.DataType] = {
    pa.string(): t.StringType(),
    pa.date32(): t.DateType(),
    pa.float32(): t.FloatType(),
    pa.bool_(): t.BooleanType(),
    pa.int32(): t.IntegerType(),
}


class SparkDataSet:
    """Snapshots of an archive by one declaration as Spark's DataFrame; use it while the session lives."""

    def __init__(
        self, declaration: Declaration, files: Sequence[Path | str], session: SparkSession, user_ttl_days: int = 0
    ) -> None:
        """Look at the archive's files, which every executor must reach by these names.

        Raises:
            DataError: there is no event in them.
        """
        if not files:
            raise DataError("the archive holds no events; publish some and wait for the archive worker to flush them")
        self._declaration, self._user_ttl_days = declaration, user_ttl_days
        layout = layout_of(declaration)
        events = session.read.option("mergeSchema", "true").parquet(*map(str, files))
        events.createOrReplaceTempView(EVENTS)
        self._days = session.sql(reducing_query(layout, "user_id", events.columns, "pyspark"))
        self._users = session.sql(users_query(layout, events.columns, "pyspark")).persist()
        self.users = self._users.count()

    def snapshots(self, as_of_days: Sequence[int], sampling: Sampling = EVERYONE) -> DataFrame:
        """Return the rows that `DataSet` gives at these midnights, in no order."""
        buckets = -(-self.users // BLOCK_USERS)
        bucket = f.pmod(f.hash("user_id"), f.lit(max(1, buckets)))
        rows = self._days.join(self._users, "user_id").withColumn("bucket", bucket)
        work = Work(self._declaration, tuple(as_of_days), sampling, self._user_ttl_days)
        fields = [t.StructField(each.name, KINDS[each.type]) for each in schema_of(self._declaration)]
        return rows.groupBy("bucket").applyInArrow(lambda bucket_rows: work.done(bucket_rows), t.StructType(fields))  # noqa: PLW0108  # Spark takes functions, not methods

    def close(self) -> None:
        """Free what executors keep."""
        self._users.unpersist()


@dataclass(frozen=True)
class Work:
    """What an executor does with a bucket of users."""

    declaration: Declaration
    as_of_days: tuple[int, ...]
    sampling: Sampling
    user_ttl_days: int

    def done(self, rows: pa.Table) -> pa.Table:
        """Return the snapshots of a bucket, whose rows come in any order."""
        block = block_of(layout_of(self.declaration), rows)
        parts = Snapshots(self.declaration, self.user_ttl_days).of(block, self.as_of_days, self.sampling)
        return pa.concat_tables([table_of(self.declaration, part) for part in parts])


def block_of(layout: Layout, rows: pa.Table) -> Block:
    """Return a bucket as a block: users by the bytes of their ids, rows by day."""
    encoded = rows["user_id"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    places = np.argsort(np.array(sorted(range(len(names)), key=names.__getitem__)))
    numbers = places[encoded.indices.to_numpy()]
    order = np.lexsort((numbers, rows["day"].to_numpy()))
    found: dict[str, npt.NDArray[np.generic]] = {
        name: rows[name].to_numpy()[order] for name in rows.column_names if name not in {"user_id", "bucket"}
    }
    observed_until = np.zeros(len(names), np.int32)
    observed_until[numbers] = rows["observed_until"].to_numpy()
    return Block(sorted(names), observed_until, day_rows(layout, found | {"number": numbers[order]}))
