"""Progress of long work on the terminal: one line that is rewritten, or a line now and then when nobody watches."""

import sys
import time
from typing import TextIO

SHOWN_EVERY_SECONDS = 0.5
LOGGED_EVERY_SECONDS = 10.0


class Progress:
    """Shows how far a piece of work has come."""

    def __init__(self, what: str, stream: TextIO = sys.stderr) -> None:
        self._what, self._stream = what, stream
        self._started = self._shown = time.monotonic()
        self._live = stream.isatty()

    def show(self, text: str, last: bool = False) -> None:
        """Show a state; most calls in quick succession are left out, the last one never."""
        now = time.monotonic()
        pause = SHOWN_EVERY_SECONDS if self._live else LOGGED_EVERY_SECONDS
        if not last and now - self._shown < pause:
            return
        self._shown = now
        line = f"{self._what}: {text} ({now - self._started:.0f} s)"
        end = "\n" if last or not self._live else ""
        self._stream.write(f"\r\033[K{line}{end}" if self._live else f"{line}\n")
        self._stream.flush()

    def days(self, done: int, total: int, events: int) -> None:
        """Show days done and events published."""
        rate = events / max(0.001, time.monotonic() - self._started)
        self.show(f"day {done} of {total}, {events:,} events, {rate:,.0f}/s", last=done == total)

    def count(self, phase: str, count: int) -> None:
        """Show a count of a phase."""
        self.show(f"{phase} {count:,}")
