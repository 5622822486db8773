"""What Kafka and Redis of the local stack have in common: one child process that can be stopped, killed and frozen."""

from compose.processes import Child, ChildSpec


class Server:
    """A server that runs as one child process; `start`, which each kind has, runs it."""

    child: Child | None

    @property
    def process(self) -> Child:
        """Return the process; raise ValueError before the first start."""
        if self.child is None:
            raise ValueError(f"{type(self).__name__} has not been started; call start() first")
        return self.child

    def answers(self) -> bool:
        """Return whether this server, and no other on its port, replies."""
        raise NotImplementedError

    def _run(self, spec: ChildSpec, timeout_seconds: float) -> None:
        """Start the process and return once it answers; raise an OutageError with its log if it does not."""
        self.child = Child.start(spec)
        try:
            self.child.wait_ready(self.answers, timeout_seconds)
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
