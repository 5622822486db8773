"""Models compared on matured labels, on literal rows."""

from collections.abc import Sequence

import numpy as np

from churn.blocks import OutcomeBlock
from training.loop.contest import Contest, by_arm, difference, measured

DAY = 86_400_000_000


def block(offset: int, known: int, said: dict[str, Sequence[float]], users: int = 2) -> OutcomeBlock:
    values = np.array([np.resize(np.array(each), users) for each in said.values()], "<f8")
    gone = (np.arange(users) % 2 == 0).tobytes()
    names = [f"u{number}" for number in range(users)]
    return OutcomeBlock(0, offset, (known - 30) * DAY, known * DAY, names, gone, list(said), values.tobytes())


def test_a_repeated_block_counts_once() -> None:
    contest = Contest()
    assert contest.take(block(5, 100, {"1": [0.9, 0.1]}))
    assert not contest.take(block(5, 100, {"1": [0.5, 0.5]}))
    assert contest.rows(["1"], -1).probability["1"].tolist() == [0.9, 0.1]


def test_versions_are_compared_on_rows_that_both_have_spoken_of_and_neither_has_learnt() -> None:
    contest = Contest()
    contest.take(block(0, 100, {"1": [0.9, 0.1]}))
    contest.take(block(1, 101, {"1": [0.8, 0.2], "2": [0.7, 0.3]}))
    contest.take(block(2, 102, {"1": [0.8, 0.2], "2": [0.6, 0.4]}))
    assert len(contest.rows(["1", "2"], -1)) == 4
    assert contest.rows(["1", "2"], after_as_of=71).probability["2"].tolist() == [0.6, 0.4]
    assert len(contest.rows(["1"], -1, only_known=100)) == 2
    assert len(contest.rows(["1"], -1, after_known=100)) == 4


def test_rows_of_more_than_31_days_ago_are_let_go_of() -> None:
    contest = Contest()
    contest.take(block(0, 100, {"1": [0.9, 0.1]}))
    contest.take(block(1, 131, {"1": [0.9, 0.1]}))
    assert contest.known_days == {131}


def test_beyond_the_bound_the_same_users_are_kept_in_every_block() -> None:
    contest = Contest(most=250)
    for offset in range(2):
        contest.take(block(offset, 100 + offset, {"1": [0.9, 0.1]}, users=200))
    rows = contest.rows(["1"], -1)
    assert 150 < len(rows) < 250
    assert len(set(rows.users)) == len(rows) // 2


def test_the_difference_says_which_version_does_surely_worse() -> None:
    contest = Contest()
    contest.take(block(0, 100, {"good": [0.9, 0.1], "bad": [0.4, 0.6]}, users=400))
    rows = contest.rows(["good", "bad"], -1)
    found = difference(rows, "bad", "good", 0.999)
    assert (round(found.value, 4), found.low > 0.5) == (0.8109, True)
    assert difference(rows, "good", "bad", 0.999).high < 0
    assert round(measured(rows, "good").log_loss.value, 4) == 0.1054


def test_each_arm_has_the_outcome_of_its_own_users() -> None:
    contest = Contest()
    contest.take(block(0, 100, {"1": [0.9, 0.1], "2": [0.4, 0.6]}, users=4))
    rows = contest.rows(["1", "2"], -1)
    arms = dict(by_arm(rows, ["1", "1", "2", "1"]))
    assert arms["1"].users == ["u0", "u1", "u3"]
    assert arms["2"].probability["2"].tolist() == [0.4]


def test_who_says_of_anybody_what_is_no_number_is_not_judged_by_that_block() -> None:
    contest = Contest()
    contest.take(block(0, 100, {"1": [0.9, float("nan")], "2": [0.8, 0.2]}))
    assert contest.versions == ["2"]
