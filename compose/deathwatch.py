"""Kill the process groups of a parent that is gone.

Run as a script (`python -I -S deathwatch.py PARENT_PID GRACE_SECONDS`) with a pipe as standard input, whose only
writer is the parent. The parent writes `+PGID` for a group that it started and `-PGID` for one that it has stopped.
End of file means that the parent is gone, however it went: every group still listed is then ended.
Standard library only, because it must start in milliseconds and outlive everything else.
"""

import os
import select
import signal
import sys
import time

# A fork of the parent may still hold the pipe open, so a changed parent pid counts as well as end of file.
PARENT_POLL_SECONDS = 1.0
GROUP_POLL_SECONDS = 0.05


def main(parent_pid: int, grace_seconds: float) -> None:
    """Listen until the parent is gone, then end every group that it left behind."""
    os.setsid()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    end_groups(listen(parent_pid), grace_seconds)


def listen(parent_pid: int) -> set[int]:
    """Return the groups still alive on the parent's list when the parent is gone."""
    groups: set[int] = set()
    pending = b""
    while True:
        # What the parent wrote is read to the end first, as it may have been killed before we were up.
        if not select.select([0], [], [], PARENT_POLL_SECONDS)[0]:
            if os.getppid() == parent_pid:
                continue
            break
        chunk = os.read(0, 4096)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    return groups


def end_groups(groups: set[int], grace_seconds: float) -> None:
    """Ask each group to stop, wake the frozen ones, and kill what is left after the grace time."""
    deadline = time.monotonic() + grace_seconds
    for group in groups:
        signal_group(group, signal.SIGTERM)
        signal_group(group, signal.SIGCONT)
    while any(signal_group(group, 0) for group in groups) and time.monotonic() < deadline:
        time.sleep(GROUP_POLL_SECONDS)
    for group in groups:
        signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether the group was there to receive it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group of which only zombies are left.
        return False
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
