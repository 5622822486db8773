"""JSON Schemas of the public topics, written out from the types."""

import inspect
from typing import Any

import msgspec

from churn.events import Event
from churn.scores import Champion, Lineup, Score
from churn.topics import ACTIVITY, MODELS, SCORES, Topic

TYPES: dict[Topic, tuple[type, ...]] = {ACTIVITY: (Event,), SCORES: (Score,), MODELS: (Champion, Lineup)}


def schemas_by_topic() -> dict[str, dict[str, Any]]:
    """Return the schema of each topic whose values are JSON, by the topic's name without its prefix.

    >>> schemas_by_topic()["activity"]["$defs"]["Event"]["required"][0]
    'event_id'
    """
    return {topic.suffix: _schema(topic.suffix, kinds) for topic, kinds in TYPES.items()}


def _schema(name: str, kinds: tuple[type, ...]) -> dict[str, Any]:
    header = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"{name} topic, value"}
    said, definitions = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    one_of = said[0] if len(said) == 1 else {"anyOf": list(said)}
    schema = {**header, **one_of, "$defs": definitions}
    for definition in definitions.values():
        # A docstring's example is for readers of the code.
        definition["description"] = inspect.cleandoc(definition["description"].split(">>>")[0])
    return schema
