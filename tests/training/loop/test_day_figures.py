"""The figures of a day are read from that day's files alone."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.declaration import parse
from training.loop.day_figures import FieldFigures, figures_of

TEXT = """
business: shop
version: 1
events:
  visited: {activity: true, description: came}
  bought: {description: paid, measures: {amount: {min: 0, max: 100, optional: true}}}
  returned: {description: sent back}
counters:
  visits: {unit: visits, adds: {visited: 1}}
registers:
  plan: {attribute: plan, values: [free, pro]}
features:
  visits_{window}d: {sum: visits, windows: [7], says: "{value} visits"}
label:
  horizon_days: 30
"""
DECLARATION = parse(TEXT, "shop.yaml")
HOUR_US = 3_600_000_000
DAY = 20_089  # 2025-01-01
Row = tuple[str, str, int, float | None, str | None, str | None]
ROWS: list[Row] = [
    ("ann", "visited", 1, None, "free", None),
    ("ann", "bought", 2, 100.0, None, None),
    ("ben", "bought", 3, 20.0, None, '{"measures": {}, "attributes": {"voucher": "x"}}'),
    ("ben", "bought", 4, None, None, None),
]


def archived(folder: Path, date: str, rows: list[Row], name: str = "0000-0-4.parquet") -> Path:
    user, kind, hour, amount, plan, extra = zip(*rows, strict=True)
    table = {
        "user_id": pa.array(user),
        "event_type": pa.array(kind),
        "occurred_at": pa.array([DAY * 24 * HOUR_US + each * HOUR_US for each in hour], pa.timestamp("us", "UTC")),
        "measure_amount": pa.array(amount, pa.float64()),
        "attribute_plan": pa.array(plan, pa.string()),
        "extra": pa.array(extra, pa.string()),
    }
    path = folder / f"date={date}" / name
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), path)
    return path


def test_events_users_and_types_are_counted(tmp_path: Path) -> None:
    found = figures_of(DECLARATION, [archived(tmp_path, "2025-01-01", ROWS)], DAY, dead_letters=3)
    assert (found.events, found.users, found.busiest, found.dead_letters) == (4, 2, 2, 3)
    assert found.types == {"visited": 1, "bought": 3, "returned": 0}


def test_fields_tell_what_is_missing_at_a_limit_and_of_which_value(tmp_path: Path) -> None:
    found = figures_of(DECLARATION, [archived(tmp_path, "2025-01-01", ROWS)], DAY).fields
    assert found["bought.amount"] == FieldFigures(3, 1, {"20.0": 1, "100.0": 1}, 60.0, 40.0, 1)
    assert found["visited.plan"] == FieldFigures(1, 0, {"free": 1})


def test_fields_that_nobody_declared_are_named(tmp_path: Path) -> None:
    found = figures_of(DECLARATION, [archived(tmp_path, "2025-01-01", ROWS)], DAY)
    assert found.undeclared == {"bought.voucher": 1}


def test_whoever_is_active_in_twelve_hours_is_tireless(tmp_path: Path) -> None:
    machine: list[Row] = [("m", "visited", hour, None, None, None) for hour in range(0, 24, 2)]
    human: list[Row] = [("h", "visited", hour % 11, None, None, None) for hour in range(40)]
    found = figures_of(DECLARATION, [archived(tmp_path, "2025-01-01", machine + human)], DAY)
    assert (found.tireless, found.busiest) == (1, 40)


def test_only_files_of_the_day_are_read(tmp_path: Path) -> None:
    mine = [archived(tmp_path, "2025-01-01", ROWS), archived(tmp_path, "2025-01-01", ROWS[:1], "0001-0-1.parquet")]
    assert figures_of(DECLARATION, [*mine, tmp_path / "date=2025-01-02" / "broken.parquet"], DAY).events == 5


@pytest.mark.parametrize("files", [[], [Path("date=2025-01-02/x.parquet")]])
def test_a_day_without_files_is_a_day_without_events(files: list[Path]) -> None:
    found = figures_of(DECLARATION, files, DAY)
    assert (found.events, found.users, found.types["visited"], found.fields) == (0, 0, 0, {})
