"""Rows of the online store as ready-made Redis commands, built for many users at once.

The fields of all rows are one array of cells of one length: templates, with the floats laid over them. Each row is cut
out of it and put behind its key: 0.8 us a row of 12 fields.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from feature_repo.encoding import (
    FLOAT_TAG,
    entity_key,
    field_hash,
    key_prefix,
    timestamp_field,
    timestamp_value,
)

Bytes2D = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Micros = npt.NDArray[np.int64]

# $4 <hash> $5 <tag, float>: 10 bytes of field, 4 of length, 5 of value, 2 of line end. Feast writes NaN as no bytes.
VALUE_BYTES, VALUE_START, VALUE_END = 21, 15, 19
NULL_BYTES = 16


def bulk(data: bytes) -> bytes:
    """Return one argument of a Redis command.

    >>> bulk(b"GET")
    b'$3\\r\\nGET\\r\\n'
    """
    return b"$%d\r\n%b\r\n" % (len(data), data)


def command(*arguments: bytes) -> bytes:
    """Return one Redis command."""
    return b"*%d\r\n%b" % (len(arguments), b"".join(map(bulk, arguments)))


def _table(rows: Sequence[bytes]) -> Bytes2D:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


class FloatRows:
    """Builds HSET commands for rows of float32 features of one view."""

    def __init__(self, project: str, view: str, feature_names: Sequence[str]) -> None:
        """Prepare the constant parts; fields stand in Feast's order, the timestamp first."""
        self._project = project.encode()
        self._timestamp = bulk(timestamp_field(view))
        value = bulk(bytes([FLOAT_TAG, 0, 0, 0, 0]))
        hashes = [bulk(field_hash(view, name)) for name in feature_names]
        self._cells = _table([each + value for each in hashes])
        self._nulls = _table([each + bulk(b"") for each in hashes])
        self._heads = [b"*%d\r\n$4\r\nHSET\r\n" % (4 + 2 * fields) for fields in range(len(feature_names) + 1)]

    def build(
        self, user_ids: Sequence[str], matrix: Floats, as_of_us: Micros, chosen: Mask | None = None
    ) -> list[bytes]:
        """Return one command a user, in their order.

        `chosen`, bool [n, features], tells which fields to write; without it all.
        """
        null = np.isnan(matrix)
        shown, gone = (~null, null) if chosen is None else (chosen & ~null, chosen & null)
        counts, users = (shown | gone).sum(axis=1).tolist(), [user_id.encode() for user_id in user_ids]
        starts = {length: self._key_start(length) for length in set(map(len, users))}
        stamps = {us: self._stamp(us) for us in set(as_of_us.tolist())}
        parts = zip(
            [self._heads[count] for count in counts],
            [starts[len(user)] for user in users],
            users,
            [stamps[us] for us in as_of_us.tolist()],
            _cut(self._values(matrix, shown), shown, VALUE_BYTES),
            _cut(self._nulls.take(np.nonzero(gone)[1], axis=0).tobytes(), gone, NULL_BYTES),
            strict=True,
        )
        return list(map(b"".join, parts))

    def _values(self, matrix: Floats, shown: Mask) -> bytes:
        """Return the fields that have a value, of all rows end to end."""
        cells = self._cells.take(np.nonzero(shown)[1], axis=0)
        floats = matrix[shown].astype("<f4", copy=False)
        cells[:, VALUE_START:VALUE_END] = floats.view(np.uint8).reshape(-1, 4)
        return cells.tobytes()

    def _key_start(self, user_bytes: int) -> bytes:
        prefix = key_prefix(user_bytes)
        return b"$%d\r\n%b" % (len(prefix) + user_bytes + len(self._project), prefix)

    def _stamp(self, as_of_us: int) -> bytes:
        """Return what stands between user id and fields."""
        return b"%b\r\n%b%b" % (self._project, self._timestamp, bulk(timestamp_value(as_of_us)))


def _cut(data: bytes, mask: Mask, size: int) -> list[bytes]:
    """Return the piece of each row: as many fields of this size as the row has in the mask."""
    ends = (np.cumsum(mask.sum(axis=1)) * size).tolist()
    return [data[start:end] for start, end in pairwise([0, *ends])]


class TextRows:
    """Builds HSET commands for rows of a few values of any length of one view."""

    def __init__(self, project: str, view: str, fields: Sequence[str]) -> None:
        """Prepare the constant parts."""
        self._project = project
        self._timestamp = bulk(timestamp_field(view))
        self._fields = [bulk(field_hash(view, name)) for name in fields]
        self._head = b"*%d\r\n$4\r\nHSET\r\n" % (4 + 2 * len(fields))

    def build(self, user_ids: Sequence[str], columns: Sequence[Sequence[bytes]], as_of_us: Micros) -> list[bytes]:
        """Return one command a user; `columns` holds, per field, the encoded value of every user."""
        stamps = {us: self._timestamp + bulk(timestamp_value(us)) for us in set(as_of_us.tolist())}
        cells = [self._column(field, column) for field, column in zip(self._fields, columns, strict=True)]
        keys = [bulk(entity_key(user_id, self._project)) for user_id in user_ids]
        head, parts = self._head, zip(keys, [stamps[us] for us in as_of_us.tolist()], *cells, strict=True)
        return [head + b"".join(part) for part in parts]

    @staticmethod
    def _column(field: bytes, column: Sequence[bytes]) -> list[bytes]:
        # Bands, versions and most reasons repeat: each distinct value is framed once.
        framed = {value: field + bulk(value) for value in set(column)}
        return [framed[value] for value in column]
