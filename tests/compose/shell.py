"""The command line in this process, against the session's Kafka and Redis, under names of its own."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from churn.settings import Settings
from compose.cli import main
from compose.environment import read_settings
from compose.kafka import KafkaServer
from compose.redis_server import RedisServer


@dataclass
class Shell:
    """CHURN_* variables and a way to run commands under them."""

    variables: dict[str, str]

    def run(self, *command: str, **variables: str) -> Result:
        """Run a command; the result has `exit_code`, `stdout` and `stderr`."""
        return CliRunner().invoke(main, list(command), env={**self.variables, **variables})

    def succeed(self, *command: str) -> str:
        """Run a command that must succeed; returns what it prints."""
        result = self.run(*command)
        assert result.exit_code == 0, result.output
        return result.stdout

    @property
    def settings(self) -> Settings:
        """Return the settings that the variables describe."""
        return read_settings(self.variables)


def open_shell(kafka: KafkaServer, redis_server: RedisServer, folder: Path, **variables: str) -> Shell:
    """Return a shell whose topics, Feast project and data are nobody else's."""
    name = f"t{uuid.uuid4().hex[:10]}"
    own = {
        "CHURN_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CHURN_REDIS_URL": redis_server.url,
        "CHURN_DATA_DIR": str(folder),
        "CHURN_TOPIC_PREFIX": name,
        "CHURN_FEAST_PROJECT": name,
        "CHURN_PARTITIONS": "1",
    }
    return Shell(own | variables)
