"""The three images: one shared part, nothing moving, nothing privileged, nothing missing."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ("stream", "api", "ml")
OUR_FOLDERS = {"churn", "producers", "feature_repo", "stream_processors", "training", "api", "compose"}
each_image = pytest.mark.parametrize("image", IMAGES)


def text(image: str) -> str:
    return (ROOT / "compose" / "docker" / f"Dockerfile.{image}").read_text()


def instructions(image: str) -> list[tuple[str, str]]:
    """Return (keyword, arguments) of every instruction, continuation lines joined, comments left out."""
    lines = [line for line in text(image).splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in joined.splitlines()]
    return [(keyword, arguments) for keyword, arguments in pairs]


def arguments(image: str, keyword: str) -> list[str]:
    return [value for name, value in instructions(image) if name == keyword]


def sources_from_context(image: str) -> set[str]:
    return {value.split()[0].lstrip("/") for value in arguments(image, "COPY") if not value.startswith("--from")}


def imported_folders(path: Path) -> set[str]:
    """Return the folders of ours that a module imports, inside functions too."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".", maxsplit=1)[0] for name in names} & OUR_FOLDERS


def allowed_into_context() -> set[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if line and not line.startswith("#")) == "*"
    return {line[1:] for line in lines if line.startswith("!")}


def test_the_part_above_the_last_stage_is_shared() -> None:
    heads = {text(image).rsplit("\nFROM ", 1)[0] for image in IMAGES}
    assert len(heads) == 1


@each_image
def test_hadolint_finds_nothing(image: str) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint is missing: run `make install`"
    command = [hadolint, "--no-color", str(ROOT / "compose" / "docker" / f"Dockerfile.{image}")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@each_image
def test_every_foreign_base_names_its_patch_release(image: str) -> None:
    bases = [value.split()[0] for value in arguments(image, "FROM")]
    assert bases == ["python:3.11.14-slim-bookworm", "python:3.11.14-slim-bookworm", "runtime"]


@each_image
def test_dependencies_are_installed_by_hash(image: str) -> None:
    installs = [value for value in arguments(image, "RUN") if "pip" in value and " install " in value]
    assert len(installs) == 1
    assert "--require-hashes --requirement /requirements.lock" in installs[0]


@each_image
def test_image_runs_as_a_fixed_number_other_than_root(image: str) -> None:
    assert arguments(image, "USER") == ["10001:10001"]


@each_image
def test_no_build_tool_is_installed_and_pip_is_removed(image: str) -> None:
    runs = " ".join(arguments(image, "RUN"))
    assert not any(tool in runs for tool in ("apt-get", "gcc", "build-essential", "apk "))
    assert "pip uninstall --yes" in runs


@each_image
def test_image_starts_the_command_line_and_keeps_its_data_in_a_volume(image: str) -> None:
    assert arguments(image, "ENTRYPOINT") == ['["python", "-m", "compose"]']
    assert arguments(image, "VOLUME") == ["/app/data"]


@each_image
def test_build_context_holds_every_copied_source(image: str) -> None:
    sources = sources_from_context(image)
    assert sources <= allowed_into_context()
    assert all((ROOT / source).exists() for source in sources)


@each_image
def test_image_holds_every_folder_that_its_folders_import(image: str) -> None:
    copied = sources_from_context(image) & OUR_FOLDERS
    modules = [path for folder in copied - {"compose"} for path in (ROOT / folder).rglob("*.py")]
    assert {folder for path in modules for folder in imported_folders(path)} <= copied


def test_stream_image_holds_every_folder_that_the_workers_import() -> None:
    assert imported_folders(ROOT / "compose" / "workers.py") <= sources_from_context("stream")


def test_build_context_holds_nothing_that_no_image_copies() -> None:
    copied = {source for image in IMAGES for source in sources_from_context(image)}
    assert allowed_into_context() == copied


@pytest.mark.parametrize(("image", "port"), [("stream", "CHURN_METRICS_PORT"), ("api", "CHURN_API_PORT")])
def test_healthcheck_asks_live_on_the_configured_port(image: str, port: str) -> None:
    (check,) = arguments(image, "HEALTHCHECK")
    assert "/live" in check
    assert port in check
