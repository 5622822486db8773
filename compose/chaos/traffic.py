"""Publishes a load at a steady rate in the background, outages or not."""

import threading
from types import TracebackType
from typing import Self

from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY
from compose.chaos.load import Load
from producers.publisher import Publisher

SLICE_SECONDS = 0.1
JOIN_SECONDS = 60.0
PATIENCE_MS = 600_000
"""An outage ends long before; only then may the publisher give an event up."""


class Traffic:
    """Sends slices of a load; used as a context manager it delivers everything at the end of the block."""

    def __init__(self, settings: Settings, load: Load, events_per_second: float) -> None:
        config = {**client_config(settings), "message.timeout.ms": PATIENCE_MS}
        self._publisher = Publisher(config, ACTIVITY.name(settings.topic_prefix))
        self.load = load
        self._slice = max(1, round(events_per_second * SLICE_SECONDS))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._failure: BaseException | None = None

    def burst(self, kind: str, count: int) -> None:
        """Publish many of one kind at once: `duplicates`, `disorder` or `rubbish`."""
        with self._lock:
            made = {
                "duplicates": lambda: self.load.again(count),
                "disorder": lambda: self.load.slice(count, 0.0, 1.0),
                "rubbish": lambda: self.load.rubbish(count),
            }[kind]()
            self._publisher.publish_all(made)

    def _run(self) -> None:
        try:
            while not self._stop.wait(SLICE_SECONDS):
                with self._lock:
                    self._publisher.publish_all(self.load.slice(self._slice))
                    self._publisher.poll()
        except BaseException as error:  # noqa: BLE001  told by whoever ends the block
            self._failure = error

    def finish(self) -> None:
        """End with noon in every partition, and wait until everything is delivered."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self._publisher.publish_all(self.load.last())
        self._publisher.flush()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(JOIN_SECONDS)
        if kind is None and self._failure is None:
            self.finish()
