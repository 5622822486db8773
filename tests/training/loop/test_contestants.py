"""Who is judged beside the online model: the champion, who served before it, and challengers, each once."""

from datetime import UTC, datetime

from churn.errors import DataError
from churn.model import LogisticModel, Scorer
from churn.scores import Champion
from training.loop.contestants import Contestants


def promoted(version: str, day: int) -> Champion:
    return Champion("churn", version, f"churn/{version}", "", "v", datetime(2026, 1, day, tzinfo=UTC), "test")


def scorer(version: str) -> Scorer:
    return Scorer(LogisticModel("churn", "v", [], [], [], [], [], [], 0.0, [], {}), version)


def loaded(champion: Champion) -> Scorer:
    if champion.version == "gone":
        raise DataError("the bundle is gone")
    return scorer(champion.version)


def judged(contestants: Contestants, version: str, day: int, *challengers: str) -> list[str]:
    """Return whose probabilities are told while a version serves."""
    found = contestants.present(promoted(version, day), scorer(version), [scorer(each) for each in challengers])
    return [each.version for each in found]


def test_the_first_champion_has_nobody_before_it() -> None:
    assert judged(Contestants(loaded, [promoted("1", 1)]), "1", 1) == ["1"]


def test_who_served_before_is_judged_too() -> None:
    contestants = Contestants(loaded)
    contestants.note([promoted("1", 1)])
    contestants.note([promoted("2", 2)])
    assert judged(contestants, "2", 2, "3") == ["2", "1", "3"]


def test_after_a_rollback_the_one_that_was_taken_back_is_the_one_before() -> None:
    assert judged(Contestants(loaded, [promoted("1", 1), promoted("2", 2), promoted("1", 3)]), "1", 3) == ["1", "2"]


def test_a_refused_promotion_is_not_before_the_champion_that_still_serves() -> None:
    assert judged(Contestants(loaded, [promoted("1", 1), promoted("2", 2), promoted("3", 3)]), "2", 2) == ["2", "1"]


def test_a_version_that_challenges_again_is_judged_once() -> None:
    assert judged(Contestants(loaded, [promoted("1", 1), promoted("2", 2)]), "2", 2, "1", "3") == ["2", "1", "3"]


def test_a_bundle_that_is_gone_leaves_its_version_out() -> None:
    assert judged(Contestants(loaded, [promoted("gone", 1), promoted("2", 2)]), "2", 2) == ["2"]


def test_the_last_promotions_are_remembered_in_their_order() -> None:
    contestants = Contestants(loaded, [promoted(str(day), day) for day in range(12, 1, -1)])
    contestants.note([promoted("1", 1)])
    assert [champion.version for champion in contestants.seen] == ["5", "6", "7", "8", "9", "10", "11", "12"]
