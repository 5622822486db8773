"""The pages that lead a reader through the code name files, functions and tests that exist, and leave no module out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STREAM = ROOT / "stream_processors" / "README.md"
TESTS = ROOT / "tests" / "README.md"
PAGES = sorted([ROOT / "README.md", *(path for path in ROOT.glob("[a-z]*/**/README.md") if "data" not in path.parts)])
PICTURE = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
NAMED = re.compile(r"\]\(([^)]+\.py)\) `([\w.]+)`")


def picture() -> str:
    found = PICTURE.search(STREAM.read_text())
    assert found is not None
    return found[1]


def definitions(path: Path) -> set[str]:
    """Return the functions and classes of a file, methods as `Class.method`."""
    found = set[str]()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if hasattr(each, "name")}
    return found


def steps(text: str) -> list[str]:
    return re.findall(r"(?:^\| |\[\")(\d+)(?: \||  *·)", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_every_file_of_the_picture_exists() -> None:
    files = re.findall(r"<b>(\S+?)</b>", picture())
    assert len(files) > 10
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_every_step_of_the_picture_stands_in_the_table_below_it() -> None:
    table = STREAM.read_text().split("```")[2]
    assert steps(picture()) == steps(table) == [str(number) for number in range(1, 11)]


def test_every_module_of_the_stream_is_named_beside_the_picture() -> None:
    hour = STREAM.read_text().split("## In an hour")[1]
    assert {path.name for path in STREAM.parent.glob("*.py")} == set(re.findall(r"`(\w+\.py)`", hour))


@pytest.mark.parametrize("page", [STREAM, TESTS], ids=lambda page: page.parent.name)
def test_every_function_of_a_page_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text())
    assert len(named) > 5
    assert [each for each in named if each[1] not in definitions(page.parent / each[0])] == []


def test_the_tests_begin_with_what_must_be_equal() -> None:
    first = TESTS.read_text().split("\n## ")[1]
    assert first.startswith("First: what must be equal\n")
    for claim in (
        "stream = batch",
        "stream = replay",
        "killed anywhere = never killed",
        "our bytes = Feast's",
        "API = library",
    ):
        assert re.search(rf"^\| {re.escape(claim)} \|.*`test_\w+` \|$", first, re.MULTILINE), claim
