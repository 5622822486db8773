"""The schemas that others read are the types that we read with."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from churn.schemas import schemas_by_topic
from churn.scores import Champion, Reason, Score, encode
from tests.churn.histories import Happening, at, record

FOLDER = Path(__file__).resolve().parents[2] / "feature_repo" / "schemas"
AT = datetime(2026, 3, 1, tzinfo=UTC)
SCORE = Score("ann", 0.25, "medium", [Reason("f", None, -0.5, "why")], "churn", "1", "abc", AT, AT, 0, 17)
CHAMPION = Champion("churn", "1", "churn/1", "00", "abc", AT, "better")
EVENT: dict[str, Any] = json.loads(record(Happening("ann", "read", at(0), 5.0), 0).value or b"")


def committed(topic: str) -> Any:
    return json.loads((FOLDER / f"{topic}.schema.json").read_text(encoding="utf-8"))


def test_the_committed_files_are_the_types() -> None:
    files = {path.name.removesuffix(".schema.json"): committed(path.name.split(".")[0]) for path in FOLDER.iterdir()}
    assert files == schemas_by_topic(), "write them again: churn schemas --out feature_repo/schemas"


@pytest.mark.parametrize("topic", ["activity", "scores", "models"])
def test_each_schema_is_a_schema(topic: str) -> None:
    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    assert [error.message for error in meta.iter_errors(committed(topic))] == []


@pytest.mark.parametrize(
    ("topic", "value"),
    [("activity", EVENT), ("scores", json.loads(encode(SCORE))), ("models", json.loads(encode(CHAMPION)))],
)
def test_what_we_write_is_valid(topic: str, value: dict[str, Any]) -> None:
    assert [error.message for error in Draft202012Validator(committed(topic)).iter_errors(value)] == []


@pytest.mark.parametrize("change", [{"user_id": ""}, {"event_id": "e" * 65}, {"measures": {"minutes": "5"}}])
def test_what_we_refuse_is_invalid(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(committed("activity")).validate(EVENT | change)
