"""The process that forks services on request; `compose.nursery` gives the orders, one line of JSON each."""

import json
import os
import sys
import time
from typing import IO, Any

from compose.processes import CAN_LOOK, look


def serve(orders: IO[str]) -> None:
    """Fork on request until the input ends."""
    from compose import cli, workers
    from training import learner

    _ = cli, workers, learner  # imported to be there in every child
    gates: dict[int, int] = {}
    ended: dict[int, int] = {}
    for line in orders:
        order = json.loads(line)
        if "go" in order:
            os.close(gates.pop(order["go"]))
            answer = "gone"
        elif "look" in order:
            code = _look(order["look"], ended)
            answer = "" if code is None else str(code)
        elif "wait" in order:
            answer = str(_wait(order["wait"], ended))
        else:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                _become(order, reader)
            os.close(reader)
            while os.getsid(pid) != pid:  # until then a signal to its group would find none
                time.sleep(0.001)
            gates[pid] = writer
            answer = str(pid)
        print(answer, flush=True)


def _look(pid: int, ended: dict[int, int]) -> int | None:
    """Return the exit code of a child, None while it runs."""
    if CAN_LOOK:
        return look(pid)
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended.get(pid)


def _wait(pid: int, ended: dict[int, int]) -> int:
    code = ended.pop(pid, None)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if code is None else code


def _become(order: dict[str, Any], gate: int) -> None:
    """Be the service; never returns."""
    os.setsid()
    os.read(gate, 1)
    os.close(gate)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    from compose.cli import main

    sys.argv = ["churn", *order["argv"]]
    code = 1
    try:
        main(args=order["argv"], prog_name="churn")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.stdin)
