import re

import pytest

from api.page import docs_page
from tests.api.conftest import Api

PATHS = ("/", "/page.css", "/page.js", "/docs")


@pytest.mark.parametrize("path", PATHS)
def test_a_page_loads_nothing_from_elsewhere(api: Api, path: str) -> None:
    answer = api.http.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    addresses = re.findall(r"https?://[^\s\"')]+", answer.text)
    assert [a for a in addresses if not a.startswith("http://www.w3.org/2000/svg")] == []


def test_the_script_never_sets_markup() -> None:
    from api.page import STATIC

    script = (STATIC / "page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_the_documentation_lists_every_operation(api: Api) -> None:
    text = api.http.get("/docs").text
    assert "GET /users/{user_id}" in text
    assert "POST /predict" in text


def test_the_documentation_escapes_what_it_shows() -> None:
    operation = {"description": "<script>", "responses": {"200": {"description": "<b>"}}}
    text = docs_page({"info": {"description": "a & b"}, "paths": {"/<x>": {"get": operation}}})
    assert "<script>" not in text
    assert "a &amp; b" in text
