"""The bulk writer of the online store: Feast's bytes, many users a round trip, fenced on request."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import redis

from churn.errors import DefectError, InputError, OutageError
from feature_repo.encoding import (
    MAX_VALUE_BYTES,
    entity_key,
    field_hash,
    float32_value,
    string_value,
    timestamp_field,
)
from feature_repo.errors import EmptiedError, FencedError
from feature_repo.layout import SCORE_FIELDS, USER_FEATURES, USER_SCORE, fields_by_view, refuse_collisions
from feature_repo.rows import FloatRows, Floats, Mask, Micros, TextRows, command
from feature_repo.wire import Wire

# One round trip per 512 users: at 4,096 Redis holds other readers for 9 ms a time, at 64 the round trips dominate.
BATCH_USERS = 512
# Rows built at once: 8,192 rows of 50 features are 10 MB.
SLAB_USERS = 8192
FENCE_ATTEMPTS = 5

Batch = tuple[bytes, int]


class Fence(NamedTuple):
    """The right to write: valid while the number at `key` in Redis is not above `epoch`."""

    key: str
    epoch: int


class OnlineWriter:
    """Writes rows that Feast reads, equal to Feast's own byte for byte; threads wait for each other.

    A worker that gives up a partition writes it out while the write before may still be under way on another thread:
    on one connection each would read the other's replies.
    """

    def __init__(
        self, client: "redis.Redis", project: str, feature_names: Sequence[str], *, timeout_seconds: float = 10.0
    ) -> None:
        """Prepare; connects at the first write.

        Raises:
            DeclarationError: two features share a hash field.
        """
        refuse_collisions(fields_by_view(feature_names))
        self._wire, self._lock = Wire(client, timeout_seconds), threading.Lock()
        self._project = project
        self._feature_count = len(feature_names)
        self._features = FloatRows(project, USER_FEATURES, feature_names)
        self._scores = TextRows(project, USER_SCORE, SCORE_FIELDS)

    def write(
        self,
        user_ids: Sequence[str],
        matrix: Floats,
        as_of_us: int | Micros,
        fence: tuple[str, int] | None = None,
        chosen: Mask | None = None,
    ) -> bool:
        """Write feature rows: float32 [n, features], `as_of_us` one for all or int64 [n]; NaN becomes null.

        Older rows are overwritten whatever their time; of a user given twice the last row counts. `chosen`, bool
        [n, features], writes these fields alone over rows that are known to be there (users differ, then): Redis looks
        for each field of a row from its beginning, so 12 fields of 53 cost it a fifth of all. Returns whether there was
        no fence: then these rows are the first, or Redis lost all rows before them.

        Raises:
            OutageError: not every row is known to be written; write all of them again.
            FencedError: a newer epoch holds the fence; batches before this moment may be written, none after.
            EmptiedError: the fence is gone, and `chosen` leaves fields out; write whole rows of everybody.
        """
        if chosen is not None and chosen.all():
            chosen = None
        if matrix.shape != (len(user_ids), self._feature_count):
            raise DefectError(
                f"{len(user_ids)} users need a matrix of {self._feature_count} features, got {matrix.shape}"
            )
        micros, unfenced = _micros(as_of_us, len(user_ids)), False
        for start in range(0, len(user_ids), SLAB_USERS):
            part = slice(start, start + SLAB_USERS)
            fields = None if chosen is None else chosen[part]
            rows = self._features.build(user_ids[part], matrix[part], micros[part], fields)
            unfenced |= self._send(_batches(rows), fence, whole=chosen is None)
        return unfenced

    def write_scores(
        self,
        user_ids: Sequence[str],
        probability: Floats,
        *,
        band: Sequence[str],
        model_version: Sequence[str] | str,
        top_reason: Sequence[str],
        as_of_us: int | Micros,
        fence: tuple[str, int] | None = None,
    ) -> None:
        """Write score rows, one a user; a text takes at most 62 bytes of UTF-8.

        Raises:
            InputError: a text is too long; names field and user, nothing is written.
            OutageError, FencedError: as `write`.
        """
        versions = [model_version] * len(user_ids) if isinstance(model_version, str) else model_version
        texts = [
            _texts(name, values, user_ids)
            for name, values in zip(SCORE_FIELDS[1:], (band, versions, top_reason), strict=True)
        ]
        columns = [[float32_value(p) for p in probability.tolist()], *texts]
        rows = self._scores.build(user_ids, columns, _micros(as_of_us, len(user_ids)))
        self._send(_batches(rows), fence)

    def delete(self, user_ids: Iterable[str], fence: tuple[str, int] | None = None) -> None:
        """Delete everything that the online store holds of these users."""
        self._send(_batches([command(b"DEL", entity_key(user_id, self._project)) for user_id in user_ids]), fence)

    def delete_scores(self, user_ids: Iterable[str], fence: tuple[str, int] | None = None) -> None:
        """Delete the score of these users and leave their features as they are; raises as `write`."""
        names = [timestamp_field(USER_SCORE), *(field_hash(USER_SCORE, name) for name in SCORE_FIELDS)]
        self._send(_batches([command(b"HDEL", entity_key(user, self._project), *names) for user in user_ids]), fence)

    def claim(self, fence_key: str) -> Fence:
        """Take the fence from whoever holds it: every writer with an older epoch is refused from now on."""
        with self._lock:
            (epoch,) = self._wire.exchange(command(b"INCR", fence_key.encode()), 1)
        return Fence(fence_key, int(epoch))

    def holds(self, fence: tuple[str, int]) -> bool:
        """Tell whether the fence stands in Redis; a fence that was written and is gone means that Redis lost its rows."""
        with self._lock:
            (held,) = self._wire.exchange(command(b"GET", fence[0].encode()), 1)
        return held is not None

    def run_id(self) -> str:
        """Return which start of which Redis answers; one that started again, or took over, may have lost late writes."""
        with self._lock:
            (facts,) = self._wire.exchange(command(b"INFO", b"server"), 1)
        return next(line[7:] for line in bytes(facts).decode().splitlines() if line.startswith("run_id:"))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._wire.close()

    def _send(self, batches: Iterable[Batch], fence: tuple[str, int] | None, whole: bool = True) -> bool:
        with self._lock:
            if fence is not None:
                return self._send_fenced(list(batches), Fence(*fence), whole)
            for commands, count in batches:
                self._wire.exchange(commands, count)
            return False

    def _send_fenced(self, batches: Sequence[Batch], fence: Fence, whole: bool) -> bool:
        unfenced, held = False, None
        for number, (commands, count) in enumerate(batches, 1):
            before, held = self._transact(commands, count, fence, whole, held, goes_on=number < len(batches))
            unfenced |= before == 0
        return unfenced

    def _transact(
        self, commands: bytes, count: int, fence: Fence, whole: bool, held: int | None, goes_on: bool
    ) -> tuple[int, int | None]:
        """Write a batch, all or nothing while the fence stands; returns the fence before it.

        With `goes_on` the answer brings the fence for the next batch as well, which saves a round trip, of 5 ms when
        other threads are at work.
        """
        watch = command(b"WATCH", fence.key.encode()) + command(b"GET", fence.key.encode())
        for _ in range(FENCE_ATTEMPTS):
            held = self._held(watch) if held is None else held
            self._check_held(held, fence, whole)
            # A fence that was lost with Redis's memory is raised again, or an older writer could pass it.
            restore = command(b"SET", fence.key.encode(), b"%d" % fence.epoch) if held < fence.epoch else b""
            transaction = command(b"MULTI") + restore + commands + command(b"EXEC")
            replies = self._wire.exchange(transaction + watch * goes_on, count + 2 + bool(restore) + 2 * goes_on)
            results, after = (replies[-3], _number(replies[-1])) if goes_on else (replies[-1], None)
            if results is not None:
                self._wire.check(results)
                return held, after
            held = after
        raise OutageError(
            f"{fence.key} changed {FENCE_ATTEMPTS} times while being written under; nothing is lost, write again"
        )

    def _held(self, watch: bytes) -> int:
        return _number(self._wire.exchange(watch, 2)[-1])

    def _check_held(self, held: int, fence: Fence, whole: bool) -> None:
        if held > fence.epoch:
            self._wire.exchange(command(b"UNWATCH"), 1)
            raise FencedError(
                f"{fence.key} is held by epoch {held}, this writer has {fence.epoch}: it must stop writing"
            )
        if held < fence.epoch and not whole:
            self._wire.exchange(command(b"UNWATCH"), 1)
            raise EmptiedError(f"{fence.key} is gone, and with it perhaps every row: whole rows must be written")


def _batches(rows: Sequence[bytes]) -> Iterator[Batch]:
    for start in range(0, len(rows), BATCH_USERS):
        part = rows[start : start + BATCH_USERS]
        yield b"".join(part), len(part)


def _number(reply: bytes | None) -> int:
    return int(reply or 0)


def _micros(as_of_us: int | Micros, count: int) -> Micros:
    return np.broadcast_to(np.asarray(as_of_us, np.int64), (count,))


def _texts(name: str, values: Sequence[str], user_ids: Sequence[str]) -> list[bytes]:
    encoded = {value: string_value(value) for value in set(values)}
    if any(len(data) > MAX_VALUE_BYTES for data in encoded.values()):
        user_id, text = next((u, v) for u, v in zip(user_ids, values, strict=True) if len(encoded[v]) > MAX_VALUE_BYTES)
        raise InputError(
            f"{name} of user {user_id} takes {len(text.encode())} bytes, 62 is the most that keeps a user compact; shorten it"
        )
    return [encoded[value] for value in values]
