"""Whether a keeper works on a folder: told by a lock that it holds as long as it lives, however it ends."""

import fcntl
import os
from pathlib import Path

LOCK_FILE = "keeper.lock"


def take(folder: Path) -> int | None:
    """Take the lock of a folder, which is made; returns it, to be closed, or None while another keeper holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def works(folder: Path) -> bool:
    """Tell whether a keeper works on a folder, on this machine or on another that shares its locks."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared: two who ask at once do not take each other for a keeper.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
