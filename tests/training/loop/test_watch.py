"""The monitors meet what is damaged: it is told, and nothing else stops."""

from pathlib import Path

import numpy as np

from churn.declaration import Declaration
from churn.model import Scorer
from tests.training.loop.kept import model_of, people
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
