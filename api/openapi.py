"""The OpenAPI document of the routes, from the very types that are encoded."""

from typing import Any

import msgspec
from fastapi import FastAPI

from api.answers import FeaturesRequest, InstancesRequest, Prediction, Predictions, UserAnswer
from api.errors import ErrorAnswer
from api.live import LiveData
from api.readiness import Health, Readiness

TYPES = (
    UserAnswer,
    Prediction,
    Predictions,
    FeaturesRequest,
    InstancesRequest,
    ErrorAnswer,
    Health,
    Readiness,
    LiveData,
)
ERRORS = {
    404: "Nothing is known of this user",
    413: "The request is too large",
    422: "The request cannot be used; the message names everything that is wrong",
    503: "Something needed is away; try again",
}


def reference(*kinds: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a schema that refers to one of the component types."""
    references = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in kinds]
    return references[0] if len(references) == 1 else {"anyOf": references}


def content(*kinds: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a JSON body of one of these types."""
    return {"application/json": {"schema": reference(*kinds)}}


def responses(description: str, *kinds: type[msgspec.Struct], errors: tuple[int, ...] = ()) -> dict[int | str, Any]:
    """Return the responses of a route: the success, and the errors it may give."""
    success: dict[int | str, Any] = {200: {"description": description, "content": content(*kinds)}}
    return success | {status: {"description": ERRORS[status], "content": content(ErrorAnswer)} for status in errors}


def users_operation() -> dict[str, Any]:
    """Return the operation of the look-up, whose route is plain for speed."""
    user_id = {"type": "string", "minLength": 1, "maxLength": 128}
    reasons = {"type": "string", "enum": ["top", "all"], "default": "top"}
    answers = responses("What is known of the user", UserAnswer, errors=(404, 422, 503))
    return {
        "summary": "Look a user up",
        "description": "Return features, score, reasons and freshness; `reasons=all` gives every feature's contribution.",
        "operationId": "read_user",
        "parameters": [
            {"name": "user_id", "in": "path", "required": True, "schema": user_id},
            {"name": "reasons", "in": "query", "required": False, "schema": reasons},
        ],
        "responses": {str(status): answer for status, answer in answers.items()},
    }


def document(app: FastAPI) -> dict[str, Any]:
    """Return FastAPI's document with our component types in it."""
    if app.openapi_schema is None:
        # `get_openapi` is what FastAPI's own method calls; through the class, because the instance's is this function.
        found = FastAPI.openapi(app)
        found["paths"] = {"/users/{user_id}": {"get": users_operation()}, **found["paths"]}
        _, components = msgspec.json.schema_components(TYPES, ref_template="#/components/schemas/{name}")
        found.setdefault("components", {})["schemas"] = components
        app.openapi_schema = found
    return app.openapi_schema
