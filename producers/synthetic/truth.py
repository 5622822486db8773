"""Write what is true to Parquet, beside the stream and never into it: one folder `day=YYYY-MM-DD` per midnight."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from producers.synthetic.business import Day, Truth
from producers.synthetic.encoding import user_id
from producers.synthetic.law import BILLINGS, ENGAGEMENTS, HABITS, MOODS, PLANS

SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("churn_probability", pa.float64()),
        ("observable_churn_probability", pa.float64()),
        ("active_last_30d", pa.bool_()),
        *((part, pa.dictionary(pa.int8(), pa.string())) for part in ("habit", "engagement", "plan", "billing", "mood")),
    ]
)


class TruthFolder:
    """Write one Parquet file per day; a day that is written again is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[str] = []

    def write(self, day: Day) -> None:
        """Write the truth at the first midnight of `day`; do nothing when the day comes without one."""
        if day.truth is None:
            return
        path = truth_file(self._folder, day.date)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        pq.write_table(self._table(day, day.truth), unfinished, compression="zstd")
        unfinished.replace(path)

    def _table(self, day: Day, truth: Truth) -> pa.Table:
        count = len(truth.churn_probability)
        self._names += [user_id(number) for number in range(len(self._names), count)]
        as_of = pa.scalar(day.midnight, pa.timestamp("us", tz="UTC"))
        columns = [
            pa.array(self._names[:count]),
            pa.repeat(as_of, count),
            pa.array(truth.churn_probability),
            _observable(truth),
            pa.array(truth.active_last_30d),
            _words(truth.habit, HABITS),
            _words(truth.engagement, ENGAGEMENTS),
            _words(truth.plan, PLANS),
            _words(truth.billing, BILLINGS),
            _words(truth.mood, MOODS),
        ]
        return pa.Table.from_arrays(columns, schema=SCHEMA)


def truth_file(folder: Path, day: date) -> Path:
    """Return where the truth at the midnight that starts `day` lies."""
    return folder / f"day={day.isoformat()}" / "truth.parquet"


def _observable(truth: Truth) -> pa.Array:
    if truth.observable_churn_probability is None:
        return pa.nulls(len(truth.churn_probability), pa.float64())
    return pa.array(truth.observable_churn_probability)


def _words(codes: NDArray[np.int8], words: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))
