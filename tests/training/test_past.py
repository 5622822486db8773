"""Vectors of the past against everything that a stream emits on random histories, bit for bit."""

import random
import tempfile
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.time_travel import Moment
from feature_repo.archive import files
from tests.churn.histories import DECLARATION, Happening, at, happenings
from tests.training.emitted import late_and_repeated, stream
from training.day_counts import events_of
from training.past import Recomputer


@given(st.lists(happenings, min_size=1, max_size=40), st.randoms(use_true_random=False), st.integers(1, 9))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_the_archive_gives_every_emitted_vector_again(
    history: list[Happening], chance: random.Random, size: int
) -> None:
    streamed = stream(late_and_repeated(history, chance), size)
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as database:
        streamed.archive(Path(name))
        matrix = Recomputer(DECLARATION).vectors(database, events_of(files(Path(name))), streamed.moments())
        assert [vector.tobytes() for vector in matrix] == streamed.vectors()


def test_a_user_without_events_has_done_nothing(tmp_path: Path) -> None:
    stream([Happening("ann", "read", at(0), 1.0)], 1).archive(tmp_path)
    with duckdb.connect() as database:
        nobody = Moment("nobody", 0, at(1), 1)
        vector = Recomputer(DECLARATION).vectors(database, events_of(files(tmp_path)), [nobody])[0]
    assert vector[DECLARATION.feature_names.index("reads_30d")] == 0.0
