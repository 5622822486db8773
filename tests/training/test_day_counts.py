"""Days are reduced batch by batch, and by the same arithmetic as the stream."""

from pathlib import Path

import duckdb
import ibis
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from churn.declaration import Declaration
from churn.events import Event
from churn.layout import layout_of
from tests.training.archives import archive, midnight
from training.day_counts import DayCounts, DayRows, batches_of
from training.reduction import compiled, rounded


def events() -> list[Event]:
    return [
        Event(f"e{n}", f"user-{n * 7 % 30:02d}", "lesson_completed", midnight(n % 40), 1, {"minutes": n / 8})
        for n in range(400)
    ]


def all_rows(counts: DayCounts) -> DayRows:
    return counts.rows(0, len(counts.users))


def test_many_batches_give_the_rows_of_one(elearning: Declaration, tmp_path: Path) -> None:
    files, layout = archive(tmp_path / "archive", events()), layout_of(elearning)
    told: list[str] = []
    one, many = DayCounts(layout, files, tmp_path), DayCounts(layout, files, tmp_path, told.append, batch_bytes=1)
    assert f"reducing events to days: 39 of {len(files)} batches" in told
    assert (one.users, one.events, one.first_day, one.last_day) == (many.users, 400, 0, 39)
    assert one.observed_until.tolist() == many.observed_until.tolist() == [39] * 30
    for name, column in vars(all_rows(one)).items():
        np.testing.assert_array_equal(column, getattr(all_rows(many), name))
    one.close()
    many.close()


def test_closing_leaves_nothing_behind(elearning: Declaration, tmp_path: Path) -> None:
    files = archive(tmp_path / "archive", events())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    counts = DayCounts(layout_of(elearning), files, scratch, batch_bytes=1)
    assert list(scratch.iterdir()) != []
    counts.close()
    assert list(scratch.iterdir()) == []


def test_a_day_is_never_parted_between_batches(tmp_path: Path) -> None:
    first, second = archive(tmp_path, events(), 0), archive(tmp_path, events(), 1)
    batches = list(batches_of([*first, *second], 5000))
    days = [{path.parent.name for path in batch} for batch in batches]
    assert len(batches) > 2
    assert sum(map(len, days)) == len(set.union(*days)) == 40
    assert sorted(path for batch in batches for path in batch) == sorted([*first, *second])


def test_files_outside_of_days_are_one_batch() -> None:
    assert list(batches_of([Path("b.parquet"), Path("date=2026-01-01/a.parquet")], 1)) == [
        [Path("b.parquet"), Path("date=2026-01-01/a.parquet")]
    ]


amounts = (
    st.floats(0, 1e9)
    | st.integers(0, 10**6).map(lambda n: n + 0.5)
    | st.sampled_from([0.5, 1.5, 2.5, 0.49999999999999994])
)


@given(st.lists(amounts, min_size=1, max_size=50))
def test_halves_are_rounded_as_the_stream_rounds(values: list[float]) -> None:
    table = ibis.table({"x": "float64"}, name="amounts")
    query = compiled(table.select(x=table.x, y=rounded(table.x)), "duckdb")
    with duckdb.connect() as database:
        database.execute("CREATE TABLE amounts AS SELECT unnest(?::DOUBLE[]) AS x", [values])
        found = database.execute(query).fetchnumpy()
    np.testing.assert_array_equal(found["y"], np.rint(np.asarray(found["x"])).astype(np.int64))
