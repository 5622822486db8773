"""Labels find the vector that stood at their midnight, once."""

import numpy as np
import pytest

from churn.blocks import FeatureBlock, Kind, LabelBlock
from churn.layout import DAY_US
from churn.population import Population
from tests.churn.histories import LEAVERS
from training.delay_line import DelayLine, Joined, Position

MIDNIGHT = 100 * DAY_US


def line(position: Position | None = None) -> DelayLine:
    """Return a delay line that begins anew, or at a position."""
    return DelayLine(Population(LEAVERS), "v1", position or Position())


def vectors(as_of_us: int, kind: Kind = "roll", epoch: int = 1, version: str = "v1", **silent: float) -> FeatureBlock:
    """Return a block of users with these days of silence; nobody is gone."""
    matrix = np.array([[days, 0.0] for days in silent.values()], np.float32)
    return FeatureBlock(kind, 0, epoch, as_of_us, 0, 0, version, list(silent), matrix.tobytes())


def labels(as_of_us: int = MIDNIGHT, epoch: int = 1, **churned: bool) -> LabelBlock:
    """Return labels of a midnight."""
    values = np.array(list(churned.values()), np.bool_).tobytes()
    return LabelBlock(0, epoch, as_of_us, as_of_us + 30 * DAY_US, list(churned), values)


def told(joined: Joined) -> dict[str, tuple[float, bool]]:
    """Return (days of silence, churned) of each joined user."""
    rows = zip(joined.users, joined.matrix[:, 0].tolist() if joined.users else [], joined.churned.tolist(), strict=True)
    return {user: (silent, gone) for user, silent, gone in rows}


def test_the_vector_that_was_emitted_for_the_midnight_is_joined() -> None:
    delay = line()
    asked = labels(ann=True, bob=False)
    assert delay.expects(asked, 0)
    assert delay.offer(vectors(MIDNIGHT - DAY_US, ann=4.0, bob=2.0))
    assert delay.offer(vectors(MIDNIGHT - 1, kind="update", ann=0.0))
    assert delay.offer(vectors(MIDNIGHT, ann=5.0))
    assert not delay.offer(vectors(MIDNIGHT + DAY_US, ann=6.0))
    assert told(delay.join(asked)) == {"ann": (5.0, True)}


@pytest.mark.parametrize("kind", ["update", "refresh"])
def test_only_a_roll_is_of_the_midnight_itself(kind: Kind) -> None:
    delay = line()
    delay.expects(labels(ann=False), 0)
    assert delay.offer(vectors(MIDNIGHT, kind=kind, ann=5.0))
    assert told(delay.join(labels(ann=False))) == {}


def test_users_outside_the_population_are_not_learnt_from() -> None:
    delay = line()
    asked = labels(today=False, edge=True, long=True, never=True, unknown=True)
    delay.expects(asked, 0)
    delay.offer(vectors(MIDNIGHT, today=0.0, edge=30.0, long=31.0, never=float("nan")))
    assert told(delay.join(asked)) == {"edge": (30.0, True)}


def test_repeated_and_outdated_labels_are_taken_once() -> None:
    delay = line()
    delay.expects(labels(ann=True), 0)
    delay.offer(vectors(MIDNIGHT, ann=5.0, bob=6.0))
    delay.join(labels(ann=True))
    assert delay.expects(labels(epoch=2, ann=True, bob=True), 7)
    assert told(delay.join(labels(epoch=2, ann=True, bob=True))) == {"bob": (6.0, True)}
    assert not delay.expects(labels(MIDNIGHT - DAY_US, epoch=2, ann=True), 7)
    assert not delay.expects(labels(MIDNIGHT + DAY_US, epoch=1, ann=True), 7)


def test_vectors_of_a_worker_that_lost_the_partition_are_ignored() -> None:
    delay = line()
    delay.expects(labels(ann=True), 0)
    delay.offer(vectors(MIDNIGHT, epoch=2, ann=5.0))
    delay.offer(vectors(MIDNIGHT, epoch=1, ann=9.0))
    assert told(delay.join(labels(ann=True))) == {"ann": (5.0, True)}


def test_vectors_of_another_feature_set_are_ignored() -> None:
    delay = line()
    delay.expects(labels(ann=True), 0)
    delay.offer(vectors(MIDNIGHT, version="v0", ann=5.0))
    assert told(delay.join(labels(ann=True))) == {}


def test_a_new_midnight_marks_where_its_vectors_begin() -> None:
    delay = line()
    delay.expects(labels(ann=True), 3)
    delay.expects(labels(bob=True), 9)
    assert delay.position.feature_offset == 3
    delay.expects(labels(MIDNIGHT + DAY_US, ann=True), 12)
    assert (delay.position.feature_offset, delay.position.as_of_us) == (12, MIDNIGHT + DAY_US)
