"""The keeper's memory on disk: whole, readable, or refused with what to do."""

from pathlib import Path

import numpy as np
import pytest

from churn.errors import DataError, DefectError
from training.loop.drift import DriftState
from training.loop.reference import reference_of
from training.loop.state import KeeperState, load, save

ROWS = np.array([[1.0], [2.0]], np.float32)


def known() -> KeeperState:
    """Return a state that knows the training rows of version 7."""
    state = KeeperState("f1", midnight=20_000)
    reference = reference_of(["a"], ROWS, np.array([0.1, 0.2]), np.array([1, 2], np.int32))
    state.watch.drift = DriftState("7", reference)
    return state


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, known())
    assert load(tmp_path, "f1") == known()


def test_with_other_features_what_was_known_of_their_columns_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path, known())
    found = load(tmp_path, "f2")
    assert (found.feature_set_version, found.watch.drift, found.midnight) == ("f2", None, 20_000)


def test_what_could_not_be_read_again_does_not_replace_what_can(tmp_path: Path) -> None:
    save(tmp_path, known())
    state = known()
    state.watch.bounds = {"mean": float("nan")}  # type: ignore[dict-item]  # what a defect would put there
    with pytest.raises(DefectError, match=r"cannot be read back .Expected `int`, got `null`"):
        save(tmp_path, state)
    assert load(tmp_path, "f1") == known()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format":9}', b'{"format":1,"feature_set_version":"\xff"}'])
def test_damage_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(DataError, match=r"state.json: .*; move it away, and the keeper begins anew"):
        load(tmp_path, "f1")
