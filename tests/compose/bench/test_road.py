from datetime import UTC, datetime

import pytest

from churn.errors import DefectError
from churn.scores import Score, encode
from compose.bench.road import complete

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def score(user: str, source_offset: int) -> bytes:
    return encode(Score(user, 0.5, "high", [], "churn", "1", "abc", NOON, NOON, 0, source_offset))


def test_the_road_ends_with_the_first_score_that_holds_every_users_last_event() -> None:
    received = [(1, score("a", 5)), (2, score("b", 7)), (3, score("a", 6)), (4, score("a", 9)), (5, score("other", 9))]
    assert complete(received, {"a": 5, "b": 6}) == (2, 3)


def test_a_user_without_a_score_of_the_last_event_is_a_defect() -> None:
    with pytest.raises(DefectError, match=r"1 of 2 users have no score of their last event, as a"):
        complete([(1, score("a", 5)), (2, score("b", 7))], {"a": 5, "b": 6})
