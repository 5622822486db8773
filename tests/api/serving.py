"""The API as a process of its own: `python -m tests.api.serving` serves the settings in TEST_SETTINGS."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.serve import run
from churn.settings import Settings
from compose.local import answers_ok
from compose.processes import Child, ChildSpec
from tests.api.building import DECLARATION, ROOT, as_json

READY_SECONDS = 60.0


@contextmanager
def served(settings: Settings, folder: Path, path: str = "/ready") -> Iterator[Child]:
    """Serve the API until the block is left; waits until `path` answers 200."""
    env = {**os.environ, "TEST_SETTINGS": as_json(settings), "PYTHONPATH": str(ROOT)}
    argv = (sys.executable, "-m", "tests.api.serving")
    child = Child.start(ChildSpec("api", argv, folder / "api.log", env, cwd=ROOT))
    try:
        child.wait_ready(lambda: answers_ok(f"http://127.0.0.1:{settings.api_port}{path}"), READY_SECONDS)
        yield child
    finally:
        child.stop()


if __name__ == "__main__":
    run(Settings.model_validate_json(os.environ["TEST_SETTINGS"]), DECLARATION)
