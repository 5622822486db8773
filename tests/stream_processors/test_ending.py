"""A worker that failed ends, also when something in it never does."""

import subprocess
import sys

WORKER = """
import asyncio
import faust
from mode import Service
from stream_processors import ending

class Hanging(Service):
    async def on_started(self):
        await self.crash(RuntimeError("on purpose"))

    async def on_stop(self):
        await asyncio.Event().wait()

ending.STOP_SECONDS = 0.2
app = faust.App("ending", broker="memory://", store="memory://", web_enabled=False)
ending.EndingWorker(app, Hanging(), loglevel="CRITICAL", redirect_stdouts=False, quiet=True).execute_from_commandline()
"""


def test_a_worker_whose_services_never_stop_ends_after_a_failure() -> None:
    ended = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "the worker does not come to its end by itself" in ended.stdout
