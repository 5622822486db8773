"""The live page, its two files, and a page of documentation that needs no network."""

from html import escape
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

STATIC = Path(__file__).with_name("static")
MEDIA_TYPES = {"index.html": "text/html", "docs.css": "text/css", "page.css": "text/css", "page.js": "text/javascript"}
# Nothing from elsewhere, nothing inline but the icon: what a user id contains can never become a script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def add_routes(app: FastAPI) -> None:
    """Add the page, its style and script, and `/docs`."""
    for path, name in (("/", "index.html"), ("/page.css", "page.css"), ("/page.js", "page.js")):
        _add_file(app, path, name)

    @app.get("/docs", include_in_schema=False)
    async def read_docs() -> Response:
        return Response(docs_page(app.openapi()), media_type="text/html", headers=HEADERS)


def _add_file(app: FastAPI, path: str, name: str) -> None:
    content = (STATIC / name).read_bytes()

    @app.get(path, include_in_schema=False)
    async def read_file() -> Response:
        return Response(content, media_type=MEDIA_TYPES[name], headers=HEADERS)


def docs_page(document: dict[str, Any]) -> str:
    """Return the OpenAPI document as a plain page."""
    parts = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>churn API</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/page.css">'
        f'<main class="docs"><h1>API</h1><p>{escape(document["info"]["description"])} '
        'The same as <a href="/openapi.json">OpenAPI</a>. The <a href="/">live page</a>.</p>'
        f"{''.join(parts)}</main></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parameters = "".join(_parameter(each) for each in operation.get("parameters", []))
    answers = "".join(_answer(status, each) for status, each in operation["responses"].items())
    return (
        f'<section class="card"><h2><code>{method.upper()} {escape(path)}</code></h2>'
        f"<p>{escape(operation.get('description', operation.get('summary', '')))}</p>"
        f"<dl>{parameters}{answers}</dl></section>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    allowed = " | ".join(map(str, parameter["schema"].get("enum", [parameter["schema"].get("type", "")])))
    return f"<dt><code>{escape(parameter['name'])}</code> ({parameter['in']})</dt><dd>{escape(allowed)}</dd>"


def _answer(status: str, answer: dict[str, Any]) -> str:
    return f"<dt>{escape(status)}</dt><dd>{escape(answer['description'])}</dd>"
