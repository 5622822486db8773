from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from producers.synthetic.business import Scenario, SyntheticBusiness
from producers.synthetic.truth import TruthFolder, truth_file

COLUMNS = [
    "user_id",
    "as_of",
    "churn_probability",
    "observable_churn_probability",
    "active_last_30d",
    *("habit", "engagement", "plan", "billing", "mood"),
]


def written(folder: Path) -> SyntheticBusiness:
    business = SyntheticBusiness(Scenario(users=100, days=3))
    truth = TruthFolder(folder)
    for day in business.days():
        truth.write(day)
    return business


def test_every_user_who_has_joined_has_a_row_a_day(tmp_path: Path) -> None:
    written(tmp_path)
    table = pq.read_table(truth_file(tmp_path, date(2026, 1, 6)), partitioning=None)
    assert table.column_names == COLUMNS
    assert table["user_id"].to_pylist() == [f"u{number:07d}" for number in range(73)]
    assert set(table["as_of"].to_pylist()) == {datetime(2026, 1, 6, tzinfo=UTC)}


def test_what_is_written_is_what_is_true(tmp_path: Path) -> None:
    business = written(tmp_path)
    truth = next(business.days()).truth
    assert truth is not None
    table = pq.read_table(truth_file(tmp_path, date(2026, 1, 5)), partitioning=None)
    assert table["churn_probability"].to_pylist() == truth.churn_probability.tolist()
    assert set(table["engagement"].to_pylist()) <= {
        "lost",
        "dormant",
        "break",
        "weary",
        "steady",
        "keen",
        "finishing",
        "cancelled",
    }


def test_all_days_read_as_one_table(tmp_path: Path) -> None:
    written(tmp_path)
    assert ds.dataset(tmp_path, partitioning="hive").count_rows() == 60 + 73 + 86


def test_a_day_written_again_is_the_same_file(tmp_path: Path) -> None:
    written(tmp_path)
    before = truth_file(tmp_path, date(2026, 1, 5)).read_bytes()
    written(tmp_path)
    assert truth_file(tmp_path, date(2026, 1, 5)).read_bytes() == before
    assert [path.name for path in tmp_path.rglob("*.unfinished")] == []
