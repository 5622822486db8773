"""What a day of matured labels says of the champion, on literal outcomes."""

from typing import Any

import numpy as np

from churn.blocks import OutcomeBlock
from training.loop.matured import Contestant, Matured, MaturedState, says_worse

DAY = 86_400_000_000
NEW, OLD = Contestant("2", 60, 95), Contestant("1", 55, 88)


def outcomes(offset: int, known: int, new: float, old: float, users: int = 1200) -> OutcomeBlock:
    """Return labels of users of whom every fourth is gone; both models say one thing of these and another of those."""
    gone = np.arange(users) % 4 == 0
    said = np.array([np.where(gone, each, 1 - each) for each in (new, old)], "<f8")
    names = [f"u{number}" for number in range(users)]
    return OutcomeBlock(0, offset, (known - 30) * DAY, known * DAY, names, gone.tobytes(), ["2", "1"], said.tobytes())


def judged(known: int, new: float, old: float, champion: Contestant = NEW, promised: float | None = None) -> Any:
    matured = Matured(MaturedState())
    matured.take(0, 0, outcomes(0, known, new, old), 0.0)
    day = matured.due(known, ended=True, at_seconds=1.0)
    assert day == known
    return matured.judge(day, champion, {"previous": OLD}, promised)


def test_a_champion_that_does_surely_worse_than_the_former_one_is_told_with_figures() -> None:
    worse = judged(96, 0.6, 0.7).worse
    assert (worse["rows"], worse["previous"], worse["log_loss"]) == (1200, "1", 0.154151)
    assert says_worse(96, worse).startswith("on 1,200 labels matured by 1970-04-07 its log loss is +0.1542 beside that")


def test_a_champion_that_does_better_or_has_come_back_is_left_alone() -> None:
    assert judged(96, 0.8, 0.7).worse is None
    assert judged(96, 0.6, 0.7, Contestant("2", 60, 95, returned=True)).worse is None


def test_labels_that_were_known_before_the_promotion_say_nothing_of_it() -> None:
    assert judged(95, 0.6, 0.7).worse is None


def test_a_promise_that_is_not_kept_is_told() -> None:
    assert judged(96, 0.6, 0.7, promised=0.40).promise["bound"] == 0.44
    assert judged(96, 0.6, 0.7, promised=0.47).promise is None


def test_a_day_of_labels_is_judged_once_after_a_later_one_or_a_moment_of_silence() -> None:
    matured = Matured(MaturedState())
    matured.take(0, 0, outcomes(0, 96, 0.8, 0.7), 10.0)
    assert matured.due(96, ended=True, at_seconds=10.9) is None
    assert matured.due(95, ended=True, at_seconds=12.0) is None
    matured.take(0, 1, outcomes(1, 97, 0.8, 0.7), 10.0)
    assert matured.due(96, ended=False, at_seconds=10.0) == 96
    matured.judge(96, NEW, {}, None)
    assert matured.due(96, ended=False, at_seconds=10.0) is None
    assert matured.state().starts == {0: 0}


def test_a_restart_reads_rows_again_and_judges_no_day_twice() -> None:
    matured = Matured(MaturedState(judged_day=96))
    matured.take(0, 0, outcomes(0, 96, 0.8, 0.7), 0.0)
    assert matured.due(99, ended=True, at_seconds=99.0) is None
    assert len(matured.contest) == 1200


def test_labels_of_days_that_are_passed_over_are_never_judged() -> None:
    matured = Matured(MaturedState())
    for number, known in enumerate((95, 96, 97)):
        matured.take(0, number, outcomes(number, known, 0.6, 0.7), 0.0)
    matured.pass_over(96)
    assert matured.due(97, ended=True, at_seconds=1.0) == 97
    matured.pass_over(90)
    assert matured.judged_day == 96
