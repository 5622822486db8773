"""One Redis connection for ready-made commands: redis-py connects, authenticates and encrypts, bytes go past it.

redis-py's own reply loop costs some 4 us a reply, hiredis alone 0.1 us; at 100,000 rows a second that is the difference.
"""

from collections.abc import Iterable
from typing import Any

import hiredis
import redis

from churn.errors import DefectError, OutageError

READ_BYTES = 1 << 16
# Every other refusal (OOM, LOADING, READONLY, NOAUTH, MASTERDOWN, ...) passes when somebody mends Redis or its settings.
DEFECTS = ("WRONGTYPE", "CROSSSLOT", "ERR wrong number", "ERR unknown", "ERR Protocol", "ERR MULTI", "ERR EXEC")


class Wire:
    """Sends commands and returns their replies; one thread at a time."""

    def __init__(self, client: "redis.Redis", timeout_seconds: float) -> None:
        """Take connection settings from `client`; connects at the first exchange."""
        self._pool = client.connection_pool
        self._timeout_seconds = timeout_seconds
        # redis-py greets the server while it connects, and would wait for a frozen or vanished one forever.
        for limit in ("socket_connect_timeout", "socket_timeout"):
            if self._pool.connection_kwargs.get(limit) is None:
                self._pool.connection_kwargs[limit] = timeout_seconds
        self._connection: Any = None
        self._replies = hiredis.Reader()

    def exchange(self, commands: bytes, replies: int) -> list[Any]:
        """Send `commands` and return exactly `replies` replies.

        Raises:
            OutageError: no connection, no answer in time, or Redis refuses for now; the commands may have taken effect.
            DefectError: Redis calls a command wrong.
        """
        try:
            self._send(commands)
            received = [self._next() for _ in range(replies)]
            self.check(received)
        except (OSError, redis.RedisError, hiredis.HiredisError) as error:
            self.close()
            raise OutageError(f"Redis at {self.where} does not answer ({error}); write again when it does") from error
        except BaseException:
            # Replies that nobody read would answer the next command.
            self.close()
            raise
        return received

    def check(self, replies: Iterable[Any]) -> None:
        """Raise the first refusal among replies, a DefectError or an OutageError."""
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise self._refused(str(reply))

    def close(self) -> None:
        """Close the connection; the next exchange opens another."""
        connection, self._connection, self._replies = self._connection, None, hiredis.Reader()
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)

    @property
    def where(self) -> str:
        """Return host and port, never the password."""
        settings = self._pool.connection_kwargs
        return str(settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}")

    def _send(self, commands: bytes) -> None:
        if self._connection is None:
            self._connection = self._pool.get_connection()
            # The socket itself: redis-py offers no way to read many replies at once. Without a time limit a frozen Redis holds us forever.
            self._connection._sock.settimeout(self._timeout_seconds)
        self._connection._sock.sendall(commands)

    def _next(self) -> Any:
        while (reply := self._replies.gets()) is False:
            data = self._connection._sock.recv(READ_BYTES)
            if not data:
                raise ConnectionError("connection closed")
            self._replies.feed(data)
        return reply

    def _refused(self, message: str) -> DefectError | OutageError:
        if message.startswith(DEFECTS):
            return DefectError(f"Redis at {self.where} refuses a command: {message}")
        return OutageError(f"Redis at {self.where} refuses for now: {message}; nothing is lost, write again")
