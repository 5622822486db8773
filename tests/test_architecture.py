"""What holds for every module: who may import whom, and what may not happen when a module is imported."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOMAIN = {"churn"}
SOURCES = {"producers", "feature_repo"}
SHELLS = {"stream_processors", "training", "api"}
ALLOWED = {
    "churn": set(),
    **dict.fromkeys(SOURCES, DOMAIN),
    **dict.fromkeys(SHELLS, DOMAIN | SOURCES),
    "compose": DOMAIN | SOURCES | SHELLS,
}

# What the domain may not know: frameworks, the network, the clock.
OUTSIDE_THE_DOMAIN = {
    "aiokafka", "asyncio", "confluent_kafka", "fastapi", "faust", "feast", "mlflow", "redis", "requests", "socket",
    "subprocess", "time", "urllib",
}  # fmt: skip
CLOCKS = re.compile(r"\b(datetime|date)\.(now|utcnow|today)\(|\btime\.(time|monotonic)")

# A comment that silences a checker, with the rules that it names; the text after it is the reason.
SILENCE = re.compile(
    r"#\s*(?P<mark>(?:noqa|type:\s*ignore|pragma|nosec|pylint|pyright|ruff|mypy)\b(?::?\s*[A-Z]+\d+,?|\[[\w, -]+\])*)"
)
RULE = re.compile(r"[A-Z]+\d+|\[[\w, -]+\]")
LONGEST_FUNCTION_LINES = 50
LONGEST_MODULE_LINES = 400

LOCKS = ("requirements.lock", "requirements-dev.lock")

# Bracketed, so that this file does not match itself.
MACHINE_PATHS = re.compile(r"(?<![\w.~}])/([r]oot|[h]ome/\w+|[U]sers/\w+)/|/[o]pt/wheels")
REGISTRIES = re.compile(
    r"[p]ypi\.org|[p]ythonhosted|[r]egistry\.npmjs|[r]epo\.maven\.apache|[r]epo1\.maven|[p]roxy\.golang"
)


def modules(package: str) -> dict[str, Path]:
    """Return the source files of a package by module name."""
    return {module_name(path): path for path in sorted((ROOT / package).rglob("*.py"))}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ALL_MODULES = {name: path for package in ALLOWED for name, path in modules(package).items()}


def imports(path: Path, nodes: Iterator[ast.AST]) -> set[str]:
    """Return the absolute names that these statements import (for `from a import b` both `a` and `a.b`)."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = module_name(path.parent / "__init__.py").split(".")
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def committed_files() -> list[Path]:
    """Return the project's files, those that are still to be added included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:  # an unpacked archive has no git folder
        files = [
            path for path in ROOT.rglob("*") if not any(part in {".venv", ".local", "data"} for part in path.parts)
        ]
    return [path for path in files if path.is_file()]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    allowed = ALLOWED[package] | {package}
    for name, path in modules(package).items():
        used = {each.split(".")[0] for each in imports(path, ast.walk(syntax(path)))} & ALLOWED.keys()
        assert used <= allowed, f"{name} may not import {used - allowed}"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules each of which imports the next, the last one the first; none when there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_a_circle_of_imports_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {}
    for name, path in ALL_MODULES.items():
        used = imports(path, iter(syntax(path).body)) & ALL_MODULES.keys()
        graph[name] = used - {name, name.rpartition(".")[0]}
    assert circle(graph) == []


def test_domain_knows_no_framework_network_or_clock() -> None:
    for name, path in modules("churn").items():
        used = {each.split(".")[0] for each in imports(path, ast.walk(syntax(path)))}
        assert not used & OUTSIDE_THE_DOMAIN, name
        assert not CLOCKS.search(path.read_text(encoding="utf-8")), f"{name} reads a clock"


def test_no_folder_hides_an_installed_package() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    installed = importlib.metadata.packages_distributions()
    shadowed = {name: installed[name] for name in folders & installed.keys() if installed[name] != ["churn-system"]}
    assert not shadowed
    assert not folders & set(sys.stdlib_module_names)


# librdkafka connects outside Python's sockets, but names its threads.
IMPORT_ALL = """
import importlib, pathlib, socket, sys

def refuse(*arguments, **options):
    raise AssertionError(f"a connection to {arguments[1:] or arguments} at import")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.create_connection = socket.getaddrinfo = refuse
for name in sys.argv[1:]:
    importlib.import_module(name)
threads = [path.read_text().strip() for path in pathlib.Path("/proc/self/task").glob("*/comm")]
assert not [name for name in threads if name.startswith("rdk")], threads
"""


def test_nothing_connects_at_import() -> None:
    names = [name for name in ALL_MODULES if not name.endswith("__main__")]
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
    )
    assert result.returncode == 0, result.stderr


def test_no_machine_path_or_registry_address_is_committed() -> None:
    found = []
    for path in committed_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {hit.group()}" for hit in MACHINE_PATHS.finditer(text)]
        found += [f"{path.relative_to(ROOT)}: {hit.group()}" for hit in REGISTRIES.finditer(text)]
        # A checkout directly below the root would match paths inside the images.
        if len(ROOT.parts) > 2 and f"{ROOT}/" in text:
            found.append(f"{path.relative_to(ROOT)}: {ROOT}/")
    assert found == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-uv.lock"])
def test_lock_pins_every_package_by_hash_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="ascii").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if "==" not in line or "--hash=sha256:" not in line] == []
    assert "://" not in text


def test_uv_of_its_own_lock_is_the_one_of_the_development_lock() -> None:
    own = (ROOT / "requirements-uv.lock").read_text(encoding="ascii").strip()
    assert own in (ROOT / "requirements-dev.lock").read_text(encoding="ascii")


def test_runtime_lock_is_part_of_the_development_lock() -> None:
    pins = [set(re.findall(r"^\S+==\S+", (ROOT / f).read_text(), re.MULTILINE)) for f in LOCKS]
    assert pins[0] <= pins[1]


def written_sources() -> list[Path]:
    return [path for path in committed_files() if path.suffix == ".py"]


def silenced(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, mark and reason of every comment that silences a checker."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT and (found := SILENCE.match(token.string)):
                yield token.start[0], found["mark"], token.string[found.end() :].strip(" #")


def test_whoever_silences_a_checker_says_why_beside_it() -> None:
    marks = [(path.relative_to(ROOT), *found) for path in written_sources() for found in silenced(path)]
    assert len(marks) > 10
    assert [f"{path}:{line}" for path, line, _, reason in marks if len(reason.split()) < 2] == []
    assert [f"{path}:{line}: {mark} names no rule" for path, line, mark, _ in marks if not RULE.search(mark)] == []


def test_no_function_is_longer_than_a_screen() -> None:
    for path in written_sources():
        for node in ast.walk(syntax(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= LONGEST_FUNCTION_LINES, f"{path.relative_to(ROOT)}: {node.name} has {lines} lines"


def test_no_module_is_longer_than_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in written_sources()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE_LINES} == {}


def asserts(test: ast.AST) -> bool:
    """Return whether something in a test can fail it by itself, not only by an error on the way."""
    called = [ast.unparse(node.func) for node in ast.walk(test) if isinstance(node, ast.Call)]
    judged = any(name.split(".")[-1].startswith(("assert_", "expect", "raises", "fail")) for name in called)
    return judged or any(isinstance(node, ast.Assert) for node in ast.walk(test))


def test_every_test_asserts_something() -> None:
    tests = [path for path in written_sources() if path.name.startswith("test_")]
    found = [(path, node) for path in tests for node in ast.walk(syntax(path)) if isinstance(node, ast.FunctionDef)]
    named = [(path, node) for path, node in found if node.name.startswith("test_")]
    assert len(named) > 500
    assert [f"{path.relative_to(ROOT)}: {node.name}" for path, node in named if not asserts(node)] == []
