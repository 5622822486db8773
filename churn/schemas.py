"""JSON Schemas of the public topics, written out from the types."""

import inspect
from typing import Any

import msgspec

from churn.events import Event
from churn.scores import Champion, Score
from churn.topics import ACTIVITY, MODELS, SCORES

TYPES = {ACTIVITY: Event, SCORES: Score, MODELS: Champion}


def schemas_by_topic() -> dict[str, dict[str, Any]]:
    """Return the schema of each topic whose values are JSON, by the topic's name without its prefix.

    >>> schemas_by_topic()["activity"]["$defs"]["Event"]["required"][0]
    'event_id'
    """
    return {topic.suffix: _schema(topic.suffix, kind) for topic, kind in TYPES.items()}


def _schema(name: str, kind: type) -> dict[str, Any]:
    header = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"{name} topic, value"}
    schema = header | msgspec.json.schema(kind)
    for definition in schema["$defs"].values():
        # A docstring's example is for readers of the code.
        definition["description"] = inspect.cleandoc(definition["description"].split(">>>")[0])
    return schema
