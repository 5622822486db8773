import json
from typing import Any

import jsonschema
import pytest
import redis

from tests.api.building import feature_map, vectors, write_user
from tests.api.conftest import Api

VECTOR = vectors(1)[0]


def schema_of(document: Any, path: str, method: str, status: int) -> Any:
    content = document["paths"][path][method]["responses"][str(status)]["content"]
    return {**content["application/json"]["schema"], "components": document["components"]}


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/users/{user_id}", "/users/u1", 200),
        ("/users/{user_id}", "/users/ghost", 404),
        ("/users/{user_id}", "/users/u1?reasons=some", 422),
        ("/health", "/health", 200),
        ("/ready", "/ready", 200),
        ("/live-data", "/live-data", 200),
    ],
)
def test_answers_are_what_the_document_declares(
    api: Api, redis_client: "redis.Redis", path: str, asked: str, status: int
) -> None:
    write_user(redis_client, api.project, "u1", VECTOR)
    answer = api.http.get(asked)
    assert answer.status_code == status
    jsonschema.validate(answer.json(), schema_of(api.http.get("/openapi.json").json(), path, "get", status))


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        ({"features": feature_map(VECTOR)}, 200),
        ({"instances": [feature_map(VECTOR)]}, 200),
        ({}, 422),
        ({"features": {"x": 1}}, 422),
    ],
)
def test_predictions_are_what_the_document_declares(api: Api, request_body: Any, status: int) -> None:
    answer = api.http.post("/predict", content=json.dumps(request_body))
    assert answer.status_code == status
    jsonschema.validate(answer.json(), schema_of(api.http.get("/openapi.json").json(), "/predict", "post", status))


def test_every_reference_in_the_document_is_declared(api: Api) -> None:
    document = api.http.get("/openapi.json").text
    declared = set(json.loads(document)["components"]["schemas"])
    used = {part.split('"')[0] for part in document.split("#/components/schemas/")[1:]}
    assert used <= declared


def test_every_operation_has_its_own_success_and_no_undeclared_form(api: Api) -> None:
    paths = api.http.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/users/{user_id}", "/predict", "/health", "/ready", "/live", "/metrics", "/live-data"}
    assert all("200" in operation["responses"] for methods in paths.values() for operation in methods.values())
