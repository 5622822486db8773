"""The score's contract grows without breaking what was written before."""

from datetime import UTC, datetime

import msgspec

from churn import scores
from churn.scores import Score, precedence
from tests.api.streaming import score

MONDAY, TUESDAY = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)


def test_a_score_from_before_the_field_counts_as_active() -> None:
    old = msgspec.json.decode(scores.encode(score("a", 0.9, "high", active=False)))
    assert old.pop("active") is False
    assert scores.decode(msgspec.json.encode(old)).active


def test_an_inactive_user_is_told_on_the_wire() -> None:
    written = scores.encode(score("a", 0.9, "high", active=False))
    assert not scores.decode(written).active


def told(version: str, promoted_at: datetime, source_offset: int) -> Score:
    """Return what a version said of the events below an offset."""
    said = score("a", 0.9, "high")
    return msgspec.structs.replace(said, model_version=version, promoted_at=promoted_at, source_offset=source_offset)


def test_a_score_that_knows_more_events_takes_precedence() -> None:
    assert max([told("1", MONDAY, 8), told("1", MONDAY, 7)], key=precedence).source_offset == 8


def test_a_rollback_takes_precedence_over_the_version_before_it() -> None:
    rolled_back = told("9", TUESDAY, 7)
    assert max([told("10", MONDAY, 7), rolled_back], key=precedence) == rolled_back


def test_a_score_from_before_the_field_is_the_oldest() -> None:
    old = msgspec.json.decode(scores.encode(told("1", MONDAY, 7)))
    del old["promoted_at"]
    assert precedence(scores.decode(msgspec.json.encode(old))) < precedence(told("1", MONDAY, 7))
