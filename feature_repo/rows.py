"""Rows of the online store as ready-made Redis commands, built for many users at once.

Rows whose key and timestamp have the same lengths differ in fixed places only, so they are one matrix of bytes:
a template repeated, with user ids, timestamps and floats laid over it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.encoding import (
    FLOAT_TAG,
    US_PER_SECOND,
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

# $4 <hash> $5 <tag, float>: 10 bytes of field, 4 of length, 5 of value, 2 of line end.
CELL_BYTES, LENGTH_DIGIT, VALUE_START, VALUE_END = 21, 11, 14, 19


def bulk(data: bytes) -> bytes:
    """Return one argument of a Redis command.

    >>> bulk(b"GET")
    b'$3\\r\\nGET\\r\\n'
    """
    return b"$%d\r\n%b\r\n" % (len(data), data)


def command(*arguments: bytes) -> bytes:
    """Return one Redis command."""
    return b"*%d\r\n%b" % (len(arguments), b"".join(map(bulk, arguments)))


class FloatRows:
    """Builds HSET commands for rows of float32 features of one view."""

    def __init__(self, project: str, view: str, feature_names: Sequence[str]) -> None:
        """Prepare the constant parts; fields stand in Feast's order, the timestamp first."""
        self._project = project.encode()
        self._timestamp = bulk(timestamp_field(view))
        value = bulk(bytes([FLOAT_TAG, 0, 0, 0, 0]))
        cells = b"".join(bulk(field_hash(view, name)) + value for name in feature_names)
        self._cells = np.frombuffer(cells, np.uint8).reshape(len(feature_names), CELL_BYTES)

    def build(
        self, user_ids: Sequence[str], matrix: Floats, as_of_us: Micros, chosen: Mask | None = None
    ) -> Iterator[tuple[bytes, Micros]]:
        """Yield (commands, end of each command in them), rows grouped by what gives them the same length.

        `chosen`, bool [n, features], tells which fields to write; without it all.
        """
        users = [user_id.encode() for user_id in user_ids]
        seconds, micros = np.divmod(as_of_us, US_PER_SECOND)
        nanos = micros * 1000
        shown = np.ones(matrix.shape, np.bool_) if chosen is None else chosen
        lengths = np.fromiter(map(len, users), np.int64, len(users))
        shape = np.stack([lengths, varint_bytes(seconds), varint_bytes(nanos), shown.sum(axis=1)])
        for (user_bytes, _, _, count), rows in _groups(shape):
            ids = b"".join([users[i] for i in rows.tolist()])
            fields = np.nonzero(shown[rows])[1].reshape(len(rows), count)
            yield self._group(user_bytes, ids, matrix[rows], timestamps(seconds[rows], nanos[rows]), fields)

    def _group(
        self, user_bytes: int, ids: bytes, matrix: Floats, stamps: Bytes2D, fields: Micros
    ) -> tuple[bytes, Micros]:
        prefix = key_prefix(user_bytes)
        head = b"*%d\r\n$4\r\nHSET\r\n$%d\r\n%b" % (
            4 + 2 * fields.shape[1],
            len(prefix) + user_bytes + len(self._project),
            prefix,
        )
        middle = b"%b\r\n%b$%d\r\n" % (self._project, self._timestamp, stamps.shape[1])
        at_stamp = len(head) + user_bytes + len(middle)
        at_cells = at_stamp + stamps.shape[1] + 2
        template = b"".join([head, bytes(user_bytes), middle, bytes(stamps.shape[1]), b"\r\n"])
        block = np.empty((len(matrix), at_cells + fields.shape[1] * CELL_BYTES), np.uint8)
        block[:, :at_cells] = np.frombuffer(template, np.uint8)
        block[:, at_cells:] = self._cells[fields].reshape(len(matrix), -1)
        block[:, len(head) : len(head) + user_bytes] = np.frombuffer(ids, np.uint8).reshape(len(matrix), user_bytes)
        block[:, at_stamp : at_stamp + stamps.shape[1]] = stamps
        return self._fill(block, at_cells, np.take_along_axis(matrix, fields, axis=1))

    def _fill(self, block: Bytes2D, at_cells: int, matrix: Floats) -> tuple[bytes, Micros]:
        length = block.shape[1]
        cells = block[:, at_cells:].reshape(*matrix.shape, CELL_BYTES)
        floats = np.ascontiguousarray(matrix, "<f4")
        cells[:, :, VALUE_START + 1 : VALUE_END] = floats.view(np.uint8).reshape(*matrix.shape, 4)
        null = np.isnan(floats)
        lengths = length - (VALUE_END - VALUE_START) * null.sum(axis=1)
        ends = np.cumsum(lengths, dtype=np.int64)
        return (_without_nulls(block, cells, at_cells, null) if null.any() else block.tobytes()), ends


def _without_nulls(block: Bytes2D, cells: npt.NDArray[np.uint8], at_cells: int, null: npt.NDArray[np.bool_]) -> bytes:
    # Feast writes NaN as an empty value: $5 becomes $0 and the five bytes go.
    cells[:, :, LENGTH_DIGIT][null] = ord("0")
    keep = np.ones(block.shape, np.bool_)
    keep[:, at_cells:].reshape(cells.shape)[:, :, VALUE_START:VALUE_END] = ~null[:, :, None]
    return block[keep].tobytes()


def _groups(shape: Micros) -> Iterator[tuple[tuple[int, int, int, int], Micros]]:
    # Varints take at most 10 bytes, counts of fields stay far below 2^20.
    codes = ((shape[3] * 4096 + shape[0]) * 16 + shape[1]) * 16 + shape[2]
    for code in np.unique(codes).tolist():
        yield (code >> 8 & 4095, code >> 4 & 15, code & 15, code >> 20), np.flatnonzero(codes == code)


def varint_bytes(values: Micros) -> Micros:
    """Return how many bytes each varint takes, 0 for zero (which protobuf leaves out)."""
    lengths = (values > 0).astype(np.int64)
    for bits in range(7, 63, 7):
        lengths += values >= 1 << bits
    return np.where(values < 0, 10, lengths)


def timestamps(seconds: Micros, nanos: Micros) -> Bytes2D:
    """Return protobuf Timestamps, one a row; all rows must have the same varint lengths."""
    return np.concatenate([_tagged(0x08, seconds), _tagged(0x10, nanos)], axis=1)


def _tagged(tag: int, values: Micros) -> Bytes2D:
    length = int(varint_bytes(values[:1])[0])
    if length == 0:
        return np.empty((len(values), 0), np.uint8)
    out = np.empty((len(values), 1 + length), np.uint8)
    out[:, 0] = tag
    unsigned = values.astype(np.uint64)
    for i in range(length):
        more = 0x80 if i < length - 1 else 0
        out[:, 1 + i] = (unsigned >> np.uint64(7 * i) & np.uint64(0x7F)).astype(np.uint8) | more
    return out


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
