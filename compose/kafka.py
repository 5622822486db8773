"""A real single-node Apache Kafka (KRaft) on this machine, for the local stack and the tests."""

import base64
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from churn.errors import OutageError
from compose import bootstrap
from compose.processes import Child, ChildSpec
from compose.server import Server

# About 3 s on an idle machine; 40 s were seen with both cores taken by other work.
START_SECONDS = 120.0
FORMAT_SECONDS = 60.0
PROPERTIES = "kraft.properties"
# Relative to the server's folder, so that the properties file stays ASCII wherever the folder is.
DATA_FOLDER = "data"


@dataclass
class KafkaServer(Server):
    """One broker and controller in one JVM with its data in `folder`, listening on 127.0.0.1 only.

    `extra` overrides broker properties. Starting again on the same folder and port finds the data again.
    """

    folder: Path
    port: int
    controller_port: int
    heap_mb: int = 512
    extra: Mapping[str, str] = field(default_factory=dict)
    java: Path | None = None
    child: Child | None = field(default=None, repr=False)

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the broker and return once it answers; raise an OutageError with its log if it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = (f"{key}={value}\n" for key, value in (self._properties() | dict(self.extra)).items())
        (self.folder / PROPERTIES).write_text("".join(lines), encoding="ascii")
        command = self._java_command()
        self._format_once(command)
        spec = ChildSpec("kafka", (*command, "kafka.Kafka", PROPERTIES), self.folder / "kafka.log", cwd=self.folder)
        self._run(spec, START_SECONDS)

    def answers(self) -> bool:
        """Return whether this broker, and no other on its port, replies to a metadata request within two seconds."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            metadata = admin.list_topics(timeout=2)
        except KafkaException:
            return False
        return len(metadata.brokers) == 1 and f"cluster.id={metadata.cluster_id}\n" in self._identity()

    def _java_command(self) -> tuple[str, ...]:
        java = self.java or bootstrap.java_binary()
        heap = (f"-Xmx{self.heap_mb}m", f"-Xms{self.heap_mb // 2}m")
        logs = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
        return (str(java), *heap, *logs, "-cp", f"{bootstrap.kafka_jars()}/*")

    def _format_once(self, command: tuple[str, ...]) -> None:
        if self._identity():
            return
        argv = (*command, "kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", PROPERTIES)
        result = subprocess.run(  # noqa: S603  the argv is ours
            argv, cwd=self.folder, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False
        )
        if result.returncode != 0:
            raise OutageError(f"Kafka could not format {self.folder}: {result.stdout}{result.stderr}")

    def _identity(self) -> str:
        """Return what Kafka notes about its data folder, or nothing while it has none."""
        path = self.folder / DATA_FOLDER / "meta.properties"
        return path.read_text(encoding="ascii") if path.exists() else ""

    def _properties(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": DATA_FOLDER,
            **SINGLE_NODE,
        }


SINGLE_NODE = {
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker may register again only when its old session has run out: a restart takes 4 s instead of 12.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Lets a consumer choose to be declared dead after one second; the default floor is six.
    "group.min.session.timeout.ms": "1000",
    # The cleaner of compacted topics takes 128 MB of heap by default, a quarter of all we give.
    "log.cleaner.dedupe.buffer.size": "33554432",
}


def cluster_id() -> str:
    """Return a fresh cluster id in Kafka's form: 22 characters of URL-safe base64 that do not look like an option."""
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):
            return name
