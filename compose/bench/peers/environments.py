"""Which peers there are, and an environment of its own for each whose packages do not go with this program's."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from churn.errors import OutageError

LOCKS = Path(__file__).resolve().parent
PYTHON = "3.11"
INSTALL_SECONDS = 600.0
VERSIONS = "import sys, importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"


@dataclass(frozen=True)
class Peer:
    """One engine: its program, the packages whose versions count, and where it keeps its state.

    `name`.lock holds the exact versions of its environment; without one it runs in this program's environment.
    `load` names the size of its measurement: a slow engine needs fewer events for a rate that holds. An engine that
    makes a row an event (`row_an_event`) is not done before it has made as many.
    """

    name: str
    program: str
    packages: tuple[str, ...]
    keeps: str
    load: Literal["events", "peer_events", "stock_events"] = "peer_events"
    row_an_event: bool = True

    @property
    def lock(self) -> Path:
        """Return the file with the exact versions; it may not exist."""
        return LOCKS / f"{self.name}.lock"


PEERS = (
    Peer("plain", "plain", ("confluent-kafka", "msgspec"), "nothing", "events", row_an_event=False),
    Peer("faust", "on_faust", ("faust-streaming", "aiokafka"), "memory, changelog topic", "stock_events"),
    Peer("quix", "on_quix", ("quixstreams", "confluent-kafka"), "RocksDB, changelog topic"),
    Peer("bytewax", "on_bytewax", ("bytewax", "confluent-kafka"), "memory alone"),
    Peer("pathway", "on_pathway", ("pathway",), "memory alone", row_an_event=False),
)
NAMES = tuple(peer.name for peer in PEERS)


def interpreter(peer: Peer, folder: Path) -> Path:
    """Return the interpreter of the peer's environment, which is made in `folder` unless it stands there already.

    Raises:
        OutageError: it cannot be made.
    """
    if not peer.lock.exists():
        return Path(sys.executable)
    place = folder / peer.name
    stamp, python = place / peer.lock.name, place / "bin" / "python"
    if not stamp.exists() or stamp.read_bytes() != peer.lock.read_bytes():
        _uv("venv", "--quiet", "--clear", "--python", PYTHON, str(place))
        _uv("pip", "install", "--quiet", "--python", str(python), "--requirements", str(peer.lock))
        shutil.copyfile(peer.lock, stamp)
    return python


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    program = str(beside) if beside.exists() else shutil.which("uv")
    if program is None:
        raise OutageError("uv is not on the path; `make setup` installs it")
    _output([program, *arguments])


def versions(peer: Peer, python: Path) -> str:
    """Return the versions that really are in the environment, as one line."""
    return _output([str(python), "-c", VERSIONS, *peer.packages]).strip()


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)  # noqa: S603  our own words
    except subprocess.CalledProcessError as error:
        raise OutageError(f"{' '.join(argv[:3])} ended with code {error.returncode}: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise OutageError(f"{' '.join(argv[:3])} was not done after {INSTALL_SECONDS:g} s") from error
    return done.stdout
