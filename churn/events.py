"""The event contract: one envelope for any business, JSON on the wire.

Additive changes (new optional fields) keep `schema_version`; readers ignore fields that they do not know.
"""

from datetime import datetime
from typing import Annotated

import msgspec

SCHEMA_VERSION = 1
MAX_EVENT_ID_CHARS = 64
MAX_USER_ID_CHARS = 128
MAX_NAME_CHARS = 64
MAX_ATTRIBUTE_CHARS = 256
MAX_ENTRIES = 32

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
AttributeValue = Annotated[str, msgspec.Meta(max_length=MAX_ATTRIBUTE_CHARS)]


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one user did at one time.

    `measures` are numbers by name (minutes, score, amount); `attributes` are strings by name (plan, country).

    >>> decode(b'{"event_id":"e1","user_id":"u1","event_type":"session_started",'
    ...        b'"occurred_at":"2026-01-05T10:00:00Z","schema_version":1}').user_id
    'u1'
    """

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EVENT_ID_CHARS)]
    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_USER_ID_CHARS)]
    event_type: Name
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    schema_version: int
    measures: Annotated[dict[Name, float], msgspec.Meta(max_length=MAX_ENTRIES)] | None = None
    attributes: Annotated[dict[Name, AttributeValue], msgspec.Meta(max_length=MAX_ENTRIES)] | None = None


_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()

decode = _decoder.decode
"""Decode one event from JSON; raises `msgspec.ValidationError` or `msgspec.DecodeError` with the JSON path."""

encode = _encoder.encode
"""Encode one event as compact JSON."""
