"""The score's contract grows without breaking what was written before."""

import msgspec

from churn import scores
from tests.api.streaming import score


def test_a_score_from_before_the_field_counts_as_active() -> None:
    old = msgspec.json.decode(scores.encode(score("a", 0.9, "high", active=False)))
    assert old.pop("active") is False
    assert scores.decode(msgspec.json.encode(old)).active


def test_an_inactive_user_is_told_on_the_wire() -> None:
    written = scores.encode(score("a", 0.9, "high", active=False))
    assert not scores.decode(written).active
