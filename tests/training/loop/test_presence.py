"""One keeper works on a folder, and others can tell."""

import os
from pathlib import Path

from training.loop.presence import take, works


def test_a_lock_is_held_by_one_and_goes_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "keeper"
    assert not works(folder)
    lock = take(folder)
    assert lock is not None
    assert works(folder)
    assert take(folder) is None
    os.close(lock)
    assert not works(folder)
