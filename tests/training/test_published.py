"""Killed at each point, refused by the disk, or met by another run: readers who follow the manifest see one run."""

import hashlib
import multiprocessing
import shutil
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

import msgspec
import pytest

from churn.errors import OutageError
from churn.events import Event
from churn.fault_points import POINTS
from tests.training.archives import archive, midnight
from tests.training.daily import contents, folder, score_armed, score_limited
from training.batch import Manifest
from training.published import publishing

FILES = 2
"""The Parquet file and the CSV are placed one after the other."""
KILLS = [
    f"{point}:{passing}"
    for point in POINTS
    if point.startswith("daily.")
    for passing in range(1, 1 + (FILES if "file" in point else 1))
]


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Return what forks from a process that has the modules and no threads, which takes a moment instead of seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.daily", "training.reduction", "pandas"])  # Arrow asks for pandas
    return context


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, processes: ForkServerContext) -> Path:
    """Return a folder with an archive, its snapshot and what version 7 says of it."""
    root = tmp_path_factory.mktemp("scored")
    names = [f"user-{number:03d}" for number in range(500)]
    archive(root / "archive", [Event(name, name, "session_started", midnight(99), 1) for name in names])
    assert run(processes, root, "7") == 0
    return root


def run(processes: ForkServerContext, root: Path, version: str, point: str = "") -> int | None:
    """Score in a process of its own; returns its exit code."""
    process = processes.Process(target=score_armed, args=(root, version, point))
    process.start()
    process.join(60)
    return process.exitcode


def version_seen(root: Path) -> str:
    """Read as readers do; returns the version that they see, having checked that every file is whole."""
    manifest = msgspec.json.decode((folder(root) / "manifest.json").read_bytes(), type=Manifest)
    for name, digest in manifest.files.items():
        assert hashlib.sha256((folder(root) / name).read_bytes()).hexdigest() == digest
    sheet = next(name for name in manifest.files if name.endswith(".csv"))
    assert (folder(root) / sheet).read_text().splitlines()[1].endswith(f'"{manifest.model_version}"')
    return manifest.model_version


@pytest.fixture(scope="module")
def undisturbed(
    scored: Path, processes: ForkServerContext, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Return the files of version 8 where nothing was before."""
    root = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(scored / "archive", root / "archive")
    assert run(processes, root, "8") == 0
    return contents(folder(root))


@pytest.mark.parametrize("point", KILLS)
def test_a_run_killed_at_a_point_shows_readers_one_whole_run_and_the_next_leaves_no_trace_of_it(
    scored: Path, undisturbed: dict[str, bytes], processes: ForkServerContext, tmp_path: Path, point: str
) -> None:
    root = tmp_path / "killed"
    shutil.copytree(scored, root)
    assert run(processes, root, "8", point) == -signal.SIGKILL
    assert version_seen(root) == ("8" if point.startswith("daily.after_manifest") else "7")
    assert run(processes, root, "8") == 0
    assert contents(folder(root)) == undisturbed


@pytest.mark.parametrize("point", [kill for kill in KILLS if kill.endswith(":1") and "scoring" not in kill])
def test_a_first_run_killed_while_it_builds_the_snapshot_is_made_up_for(
    scored: Path, undisturbed: dict[str, bytes], processes: ForkServerContext, tmp_path: Path, point: str
) -> None:
    shutil.copytree(scored / "archive", tmp_path / "archive")
    assert run(processes, tmp_path, "8", point) == -signal.SIGKILL
    assert not folder(tmp_path).exists()
    assert run(processes, tmp_path, "8") == 0
    assert contents(folder(tmp_path)) == undisturbed
    assert contents(folder(tmp_path, "snapshots")) == contents(folder(scored, "snapshots"))


@pytest.mark.parametrize(("most_bytes", "name"), [(1000, "scores.parquet"), (20_000, "scores.csv")])
def test_a_full_disk_is_said_by_file_and_leaves_what_was_there(
    scored: Path, processes: ForkServerContext, tmp_path: Path, most_bytes: int, name: str
) -> None:
    root = tmp_path / "full"
    shutil.copytree(scored, root)
    with ProcessPoolExecutor(1, mp_context=processes) as pool:
        said = pool.submit(score_limited, root, most_bytes).result(60)
    assert said.startswith("OutageError: ")
    assert f"{name}: cannot be written (File too large); what was there before is untouched" in said
    assert contents(folder(root)) == contents(folder(scored))
    assert sorted(len(data) > 20_000 for data in contents(folder(root)).values()) == [False, False, True]


def test_two_runs_do_not_meet_in_a_folder(tmp_path: Path) -> None:
    with publishing(tmp_path), pytest.raises(OutageError, match="another run is writing here"), publishing(tmp_path):
        pass


def test_the_same_content_keeps_its_file(tmp_path: Path) -> None:
    kept = []
    for _ in range(2):
        with publishing(tmp_path) as draft:
            draft.path("a.txt").write_text("same")
            name, _digest = draft.place("a.txt")
            draft.conclude(b"{}", {name})
        kept.append((name, (tmp_path / name).stat().st_ino))
    assert kept[0] == kept[1]


def test_a_file_that_was_damaged_on_disk_is_written_again(tmp_path: Path) -> None:
    for damage in (True, False):
        with publishing(tmp_path) as draft:
            draft.path("a.txt").write_text("same")
            name, _ = draft.place("a.txt")
            draft.conclude(b"{}", {name})
        if damage:
            (tmp_path / name).write_text("SAME")
    assert (tmp_path / name).read_text() == "same"
