import sys
from dataclasses import replace
from pathlib import Path

import pytest

from churn.errors import OutageError
from compose.bench.peers import environments
from compose.bench.peers.environments import PEERS, Peer, interpreter, versions

PLAIN = PEERS[0]


def test_a_peer_without_a_lock_runs_in_this_environment(tmp_path: Path) -> None:
    assert interpreter(PLAIN, tmp_path) == Path(sys.executable)
    assert versions(PLAIN, Path(sys.executable)).startswith("confluent-kafka ")


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.lock.exists()], ids=lambda peer: str(peer.name))
def test_a_lock_pins_every_package_exactly_and_names_no_address(peer: Peer) -> None:
    lines = [line for line in peer.lock.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if "==" not in line or "://" in line] == []
    assert [package for package in peer.packages if not any(line.startswith(f"{package}==") for line in lines)] == []


def test_a_peer_that_cannot_be_installed_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nothing.lock").write_text("./no-such-package\n")
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    with pytest.raises(OutageError, match=r"pip install ended with code \d+.*no-such-package"):
        interpreter(replace(PLAIN, name="nothing"), tmp_path / "environments")
