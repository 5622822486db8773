"""A real redis-server on this machine, for the local stack and the tests."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import redis

from compose import bootstrap
from compose.processes import Child, ChildSpec
from compose.server import Server

START_SECONDS = 20.0


@dataclass
class RedisServer(Server):
    """One redis-server with its data in `folder`, listening on 127.0.0.1 only.

    Without `persistent` nothing is written to disk: Redis holds a copy that the stream can rebuild.
    """

    folder: Path
    port: int
    persistent: bool = False
    binary: Path | None = None
    child: Child | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and return once it answers PING; raise an OutageError with its log if it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        binary = self.binary or bootstrap.redis_binary()
        spec = ChildSpec("redis-server", (str(binary), *self._options()), self.folder / "redis.log", cwd=self.folder)
        self._run(spec, START_SECONDS)

    def answers(self) -> bool:
        """Return whether this server, and no other on its port, replies within a second."""
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.url, socket_timeout=1) as client:
            return bool(client.info("server")["process_id"] == self.process.pid)
        return False

    def _options(self) -> tuple[str, ...]:
        appends = "yes" if self.persistent else "no"
        # A user's row has up to 512 short fields and stays a listpack: 573 B for 30 fields, 2,076 B as a hashtable.
        listpack = ("--hash-max-listpack-entries", "512", "--hash-max-listpack-value", "64")
        durability = ("--save", "", "--appendonly", appends, "--appendfsync", "everysec")
        return ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", ".", *durability, *listpack)
