"""Feast's Redis bytes, without Feast: entity key, hash field, values and timestamps.

Format of Feast's Redis online store with entity key serialization version 3; every number is little-endian.
Importing Feast costs seconds and its encoder tens of microseconds a row; this module costs neither.
"""

import math
import struct

import mmh3

JOIN_KEY = "user_id"
STRING_TYPE = 2
MAX_VALUE_BYTES = 64
"""A longer value turns the user's hash from a listpack into a hash table: 573 bytes become 2,076."""

FLOAT_TAG, DOUBLE_TAG, INT64_TAG, STRING_TAG = 0x35, 0x29, 0x20, 0x12
NULL = b""
US_PER_SECOND = 1_000_000

Scalar = float | int | str | None


def key_prefix(user_id_bytes: int) -> bytes:
    r"""Return what stands before a user id of this many UTF-8 bytes in its key.

    >>> key_prefix(2)
    b'\x01\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x00user_id\x02\x00\x00\x00\x02\x00\x00\x00'
    """
    name = JOIN_KEY.encode()
    return struct.pack("<III", 1, STRING_TYPE, len(name)) + name + struct.pack("<II", STRING_TYPE, user_id_bytes)


def entity_key(user_id: str, project: str) -> bytes:
    """Return the Redis key of a user; the raw project name ends it."""
    user = user_id.encode()
    return key_prefix(len(user)) + user + project.encode()


def field_hash(view: str, feature: str) -> bytes:
    """Return the 4-byte hash field of a feature.

    >>> field_hash("activity", "f0").hex()
    'b37ca597'
    """
    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def timestamp_field(view: str) -> bytes:
    """Return the hash field that holds the view's event timestamp."""
    return f"_ts:{view}".encode()


def float32_value(value: float) -> bytes:
    """Return a Feast float; NaN is null, as Feast writes it."""
    return NULL if math.isnan(value) else struct.pack("<Bf", FLOAT_TAG, value)


def double_value(value: float) -> bytes:
    """Return a Feast double; NaN is null."""
    return NULL if math.isnan(value) else struct.pack("<Bd", DOUBLE_TAG, value)


def int64_value(value: int) -> bytes:
    """Return a Feast int64."""
    return bytes([INT64_TAG]) + varint(value)


def string_value(value: str) -> bytes:
    """Return a Feast string."""
    text = value.encode()
    return bytes([STRING_TAG]) + varint(len(text)) + text


def varint(value: int) -> bytes:
    """Return a protobuf varint; a negative number takes ten bytes.

    >>> varint(300).hex()
    'ac02'
    """
    rest, out = value & 0xFFFF_FFFF_FFFF_FFFF, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def timestamp_value(as_of_us: int) -> bytes:
    """Return a protobuf Timestamp of microseconds since 1970; parts that are zero are left out."""
    seconds, micros = divmod(as_of_us, US_PER_SECOND)
    head = b"\x08" + varint(seconds) if seconds else b""
    return head + b"\x10" + varint(micros * 1000) if micros else head


def clip_utf8(text: str, limit_bytes: int) -> str:
    """Return the longest head of `text` that fits, never half a character.

    >>> clip_utf8("naïve", 3)
    'na'
    """
    return text.encode()[:limit_bytes].decode(errors="ignore")


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at `at` as a signed 64-bit number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value - (1 << 64) if value >> 63 else value), at
        shift += 7


def decode_value(data: bytes) -> Scalar:
    """Return the number or text of a value, None when it is null.

    Raises:
        ValueError: a kind of value that this system never writes.
    """
    if not data:
        return None
    tag = data[0]
    if tag == FLOAT_TAG and len(data) == 5:
        return float(struct.unpack_from("<f", data, 1)[0])
    if tag == DOUBLE_TAG and len(data) == 9:
        return float(struct.unpack_from("<d", data, 1)[0])
    if tag == INT64_TAG:
        return read_varint(data, 1)[0]
    if tag == STRING_TAG:
        length, start = read_varint(data, 1)
        return data[start : start + length].decode()
    raise ValueError(f"value {data[:16].hex()} is neither float, double, int64 nor string")


def decode_timestamp_us(data: bytes) -> int:
    """Return the microseconds since 1970 of a protobuf Timestamp."""
    at = seconds = nanos = 0
    while at < len(data):
        tag = data[at]
        number, at = read_varint(data, at + 1)
        seconds, nanos = (number, nanos) if tag == 0x08 else (seconds, number)
    return seconds * US_PER_SECOND + nanos // 1000
