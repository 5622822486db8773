"""Who served a user then, by records alone: champions, challengers' shares, and times before any of them."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from churn.errors import DataError, InputError
from churn.model import Scorer
from churn.scores import Challenger, Champion, Lineup, encode, from_us
from compose.past_models import Chosen, answering, challenger_of, chosen_at, record_of
from feature_repo.bundles import load
from tests.api.building import DECLARATION, challenger, champion, model
from tests.stream_processors.road import START

NEAR, FAR = "u2", "u1"
"""Users at the places 0.316 and 0.7998."""


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def promoted(version: str, on: int) -> Champion:
    return Champion("churn", version, "", "", "", day(on), "test")


def lined_up(on: int, **shares: float) -> Lineup:
    named = [Challenger(version.removeprefix("v"), "", "", "", share) for version, share in shares.items()]
    return Lineup("churn", named, day(on), "test")


def loaded(named: Champion | Challenger) -> Scorer:
    return Scorer(model(-float(named.version)), named.version)


def said(*records: Champion | Lineup, at: int, user: str = NEAR) -> tuple[str, datetime, str]:
    """Return who answered, since when, and why."""
    chosen = chosen_at(records, day(at))
    assert chosen is not None
    answers, why = answering(chosen, user, loaded)
    assert answers.scorer.version == answers.version
    return answers.version, answers.since, why


CHAMPION, SPLIT, WIDER, ENDED = promoted("1", 0), lined_up(10, v2=0.4), lined_up(12, v2=0.9), lined_up(14)
ALONE = "version 1 served then, promoted 2026-01-01 00:00"


def test_the_champion_is_the_one_that_served_then() -> None:
    known = [promoted("2", 10), promoted("1", 0), promoted("1", 20)]
    why = "version 2 served then, promoted 2026-01-11 00:00"
    assert chosen_at(known, day(12)) == Chosen(known[0], None, why)


def test_before_the_first_promotion_the_present_champion_answers_and_it_is_said() -> None:
    chosen = chosen_at([promoted("1", 10), promoted("2", 20)], from_us(0))
    why = "version 2 is champion now; no promotion up to 1970-01-01 00:00 is known"
    assert chosen == Chosen(promoted("2", 20), None, why)


def test_a_version_that_is_asked_for_answers_everyone_and_one_that_never_served_is_refused() -> None:
    chosen = chosen_at([CHAMPION, promoted("2", 20), SPLIT], day(11), "2")
    assert chosen == Chosen(promoted("2", 20), None, "version 2, as asked for")
    with pytest.raises(InputError, match="model version 7 was never promoted"):
        chosen_at([CHAMPION], START, "7")


def test_without_any_champion_nobody_answers_whoever_challenges() -> None:
    assert chosen_at([], START) is None
    assert chosen_at([SPLIT], day(11)) is None


def test_challengers_that_were_announced_before_the_first_champion_served_nobody() -> None:
    late = promoted("1", 20)
    assert said(late, SPLIT, at=11)[0] == "1"
    assert said(late, SPLIT, at=20)[:2] == ("2", day(20))


def test_a_user_in_the_challengers_share_was_served_by_it_since_its_announcement() -> None:
    why = "version 2 served then: the user was in the challenger's share, 0.4 of the users, announced 2026-01-11 00:00"
    assert said(CHAMPION, SPLIT, at=10) == ("2", day(10), why)
    assert said(CHAMPION, SPLIT, at=10, user=FAR) == ("1", day(10), ALONE)


def test_before_its_announcement_and_after_it_stood_down_the_champion_served() -> None:
    records = (ENDED, WIDER, CHAMPION, SPLIT)
    assert [said(*records, at=at)[:2] for at in (9, 11, 14)] == [("1", day(0)), ("2", day(10)), ("1", day(14))]


def test_the_last_announcement_up_to_the_time_decides() -> None:
    records = (ENDED, WIDER, CHAMPION, SPLIT)
    assert [said(*records, at=at, user=FAR)[0] for at in (11, 12, 14)] == ["1", "2", "1"]


def test_each_challenger_has_the_interval_of_its_place() -> None:
    both = lined_up(10, v3=0.2, v2=0.2)
    assert [challenger_of(lineup, NEAR) for lineup in (both, lined_up(10, v2=0.2, v3=0.0), None)] == [
        both.challengers[1], None, None
    ]  # fmt: skip


def test_a_challenger_that_became_champion_serves_as_such() -> None:
    assert said(CHAMPION, SPLIT, promoted("2", 12), at=13) == (
        "2", day(12), "version 2 served then, promoted 2026-01-13 00:00"
    )  # fmt: skip


def test_a_challenger_that_cannot_be_loaded_leaves_its_users_to_the_champion_and_it_is_said(tmp_path: Path) -> None:
    first = champion(tmp_path, "1")
    broken = msgspec.structs.replace(challenger(tmp_path, "2", 0.4), sha256="00")
    chosen = Chosen(first, Lineup("churn", [broken], day(10), "test"), ALONE)

    def from_disk(named: Champion | Challenger) -> Scorer:
        return load(tmp_path, named, DECLARATION.feature_set_version)

    answers, why = answering(chosen, NEAR, from_disk)
    assert (answers.version, answers.since) == ("1", first.promoted_at)
    assert why.startswith(f"{ALONE}; the user was in the share of challenger version 2, which is left out: ")
    with pytest.raises(DataError):
        answering(Chosen(msgspec.structs.replace(first, sha256="00"), chosen.lineup, ALONE), NEAR, from_disk)


def test_records_of_challengers_are_told_from_those_of_champions() -> None:
    assert [record_of(encode(record)) for record in (SPLIT, CHAMPION)] == [SPLIT, CHAMPION]
