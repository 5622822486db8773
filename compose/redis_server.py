"""A real redis-server on this machine, for the local stack and the tests."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import redis

from compose import bootstrap
from compose.processes import Child, ChildSpec

START_SECONDS = 20.0


@dataclass
class RedisServer:
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

    @property
    def process(self) -> Child:
        if self.child is None:
            raise ValueError("redis-server has not been started; call start() first")
        return self.child

    def start(self) -> None:
        """Start the server and return once it answers PING; raise an OutageError with its log if it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        binary = self.binary or bootstrap.redis_binary()
        spec = ChildSpec("redis-server", (str(binary), *self._options()), self.folder / "redis.log", cwd=self.folder)
        self.child = Child.start(spec)
        try:
            self.child.wait_ready(self.answers, START_SECONDS)
        except BaseException:
            self.child.kill()
            raise

    def stop(self) -> None:
        """Stop the server in good order."""
        self.process.stop()

    def kill(self) -> None:
        """End the server at once (SIGKILL)."""
        self.process.kill()

    def freeze(self) -> None:
        """Stop the server where it stands: connections stay open and nothing answers."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let a frozen server run on."""
        self.process.thaw()

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
