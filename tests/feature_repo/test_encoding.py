"""Our bytes are Feast's bytes."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from feature_repo import encoding

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=130)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)


def entity(user_id: str) -> EntityKey:
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def test_key_of_a_known_user() -> None:
    expected = "010000000200000007000000757365725f696402000000020000007531636875726e"
    assert encoding.entity_key("u1", "churn").hex() == expected


@given(user_id=TEXT, project=TEXT)
def test_entity_key_is_feasts(user_id: str, project: str) -> None:
    assert encoding.entity_key(user_id, project) == _redis_key(project, entity(user_id))


@given(user_id=TEXT)
def test_key_prefix_precedes_the_user_id(user_id: str) -> None:
    user = user_id.encode()
    assert encoding.key_prefix(len(user)) + user == serialize_entity_key(entity(user_id), 3)


@given(view=TEXT, feature=TEXT)
def test_field_hash_is_feasts(view: str, feature: str) -> None:
    assert encoding.field_hash(view, feature) == _mmh3(f"{view}:{feature}")


@given(value=FLOAT32)
def test_float32_is_feasts(value: float) -> None:
    assert encoding.float32_value(value) == Value(float_val=value).SerializeToString()


@given(value=st.floats(allow_nan=False))
def test_double_is_feasts(value: float) -> None:
    assert encoding.double_value(value) == Value(double_val=value).SerializeToString()


@given(value=INT64)
def test_int64_is_feasts(value: int) -> None:
    assert encoding.int64_value(value) == Value(int64_val=value).SerializeToString()


@given(value=TEXT)
def test_string_is_feasts(value: str) -> None:
    assert encoding.string_value(value) == Value(string_val=value).SerializeToString()


def test_missing_number_is_null() -> None:
    assert encoding.float32_value(math.nan) == encoding.double_value(math.nan) == Value().SerializeToString() == b""


@given(micros=st.integers(0, 253_402_300_799_999_999))
def test_timestamp_is_protobufs(micros: int) -> None:
    stamp = Timestamp()
    stamp.FromDatetime(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros))
    assert encoding.timestamp_value(micros) == stamp.SerializeToString()
    assert encoding.decode_timestamp_us(stamp.SerializeToString()) == micros


@given(value=st.one_of(FLOAT32, TEXT, INT64))
def test_decoding_returns_what_was_encoded(value: float | str) -> None:
    kinds = {float: encoding.float32_value, str: encoding.string_value, int: encoding.int64_value}
    assert encoding.decode_value(kinds[type(value)](value)) == value  # type: ignore[operator]  # picked by its type


def test_value_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="3801 is neither"):
        encoding.decode_value(Value(bool_val=True).SerializeToString())


@given(text=TEXT, limit=st.integers(0, 80))
def test_clipped_text_is_a_head_that_fits(text: str, limit: int) -> None:
    clipped = encoding.clip_utf8(text, limit)
    assert text.startswith(clipped)
    assert limit - 4 < len(clipped.encode()) <= limit or clipped == text
