"""The monitors meet what is damaged: it is told, and nothing else stops. Archived days of a history are known and not told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.days import iso
from churn.declaration import Declaration
from churn.model import Scorer
from tests.training.loop.kept import model_of, people
from training.loop.finding import Finding
from training.loop.midnights import Midnight
from training.loop.watch import Watch, WatchState


def midnight(declaration: Declaration, count: int) -> Midnight:
    return Midnight(20_000, [f"u{number}" for number in range(count)], people(declaration, count), {0: 9})


def test_damaged_training_rows_are_not_compared_with_and_stop_nothing(elearning: Declaration, tmp_path: Path) -> None:
    watch = Watch(elearning, tmp_path, lambda _: '{"features": {}}', WatchState())
    seen, findings = watch.midnight(midnight(elearning, 300), Scorer(model_of(elearning, 1.0, -3.0), "7"))
    assert (seen.says, findings) == ("not judged: no champion's training rows to compare with", [])


def test_vectors_of_which_all_is_missing_are_looked_at(elearning: Declaration, tmp_path: Path) -> None:
    watch = Watch(elearning, tmp_path, lambda _: None, WatchState())
    nothing = midnight(elearning, 300)
    nothing.matrix[:] = np.nan
    _, findings = watch.midnight(nothing, Scorer(model_of(elearning, 1.0, -3.0), "7"))
    assert [finding.what for finding in findings] == ["same", "spread", "mean"]


def test_an_archive_that_is_gone_is_waited_for(elearning: Declaration, tmp_path: Path) -> None:
    watch = Watch(elearning, tmp_path / "gone", lambda _: None, WatchState())
    watch.expect(midnight(elearning, 3))
    assert (watch.archived(0), watch.problem, list(watch.state().due)) == ([], "", [19_999])


def test_a_damaged_file_of_the_archive_is_named(elearning: Declaration, tmp_path: Path) -> None:
    watch = Watch(elearning, tmp_path, lambda _: None, WatchState())
    watch.expect(midnight(elearning, 3))
    name = "date=2024-10-03/x.parquet"
    (tmp_path / "_segments").mkdir()
    (tmp_path / "_segments" / "0000-000000000000-000000000009.json").write_text(f'{{"files": ["{name}"], "rows": 9}}')
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(b"PAR1 no table PAR1")
    assert watch.archived(0) == []
    assert f"{name}: not a Parquet file that can be read" in watch.problem
    assert list(watch.state().due) == [19_999]


DAY_US = 86_400_000_000
FIRST, BROKEN = 20_000, 50


def archive(folder: Path, day: int, sessions: int) -> None:
    """Write one day of sessions as a segment of its own."""
    start = (day - FIRST) * 10_000
    stem = f"0000-{start:012d}-{start + 10_000:012d}"
    table = pa.table({
        "user_id": [f"u{number}" for number in range(sessions)],
        "event_type": ["session_started"] * sessions,
        "occurred_at": pa.array(np.full(sessions, day * DAY_US), pa.timestamp("us", "UTC")),
    })  # fmt: skip
    path = folder / f"date={iso(day)}" / f"{stem}.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    (folder / "_segments").mkdir(exist_ok=True)
    (folder / "_segments" / f"{stem}.json").write_text(
        f'{{"files": ["{path.relative_to(folder)}"], "rows": {sessions}}}'
    )


@pytest.fixture
def watch(tmp_path: Path, elearning: Declaration) -> Watch:
    """Return a watch that has heard of 60 midnights; on the day BROKEN all but a few events are missing."""
    found = Watch(elearning, tmp_path, lambda version: None, WatchState())
    for day in range(60):
        archive(tmp_path, FIRST + day, 10 if day == BROKEN else 500)
        offsets = {0: (day + 1) * 10_000}
        found.expect(Midnight(FIRST + day + 1, [], np.zeros((0, 0), np.float32), offsets))
    return found


def looked(watch: Watch, first_us: int) -> list[Finding]:
    found = []
    while watch.state().due:
        found += watch.archived(first_us)
    return found


def test_a_broken_day_is_told_when_a_champion_served_on_all_of_it(watch: Watch) -> None:
    found = looked(watch, (FIRST + BROKEN) * DAY_US)
    assert {(each.kind, each.day) for each in found} == {("quality", FIRST + BROKEN)}


@pytest.mark.parametrize("began", [BROKEN + 0.5, BROKEN + 1, 59.5])
def test_a_broken_day_of_history_is_not_told(watch: Watch, began: float) -> None:
    assert looked(watch, int((FIRST + began) * DAY_US)) == []


def test_of_history_the_weeks_are_known_that_a_day_is_compared_with(watch: Watch) -> None:
    looked(watch, int((FIRST + 59.5) * DAY_US))
    assert [each.day - FIRST for each in watch.state().quality.days] == list(range(3, 59))
