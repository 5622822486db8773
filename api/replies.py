"""HTTP responses from plain data."""

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.errors import RETRY_AFTER_SECONDS, ErrorAnswer, answer_of, status_of
from churn.errors import ChurnError

JSON = "application/json"
_encode = msgspec.json.Encoder().encode


def reply(answer: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a struct as JSON; NaN becomes null."""
    return Response(_encode(answer), status, {"cache-control": "no-store", **(headers or {})}, JSON)


async def churn_error(_: Request, error: Exception) -> Response:
    """Answer an error of ours by whose fault it is."""
    if not isinstance(error, ChurnError):
        raise error
    status = status_of(error)
    return reply(answer_of(error), status, {"retry-after": str(RETRY_AFTER_SECONDS)} if status == 503 else None)


async def request_error(_: Request, error: Exception) -> Response:
    """Answer a parameter that FastAPI refuses."""
    if not isinstance(error, RequestValidationError):
        raise error
    said = "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors())
    return reply(ErrorAnswer("input", said), 422)


async def http_error(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; /docs lists what there is"
    return reply(ErrorAnswer(code, message), error.status_code, dict(error.headers or {}))


async def unexpected(_: Request, __: Exception) -> Response:
    """Answer a failure that nobody foresaw; the log has the details, the client gets none."""
    return reply(ErrorAnswer("defect", "something failed on our side; the log of the API says what"), 500)
