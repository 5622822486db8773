"""One Faust application per role: Faust keeps membership, assignment, rebalancing and delivery."""

import asyncio
import ctypes
import gc
import logging
import ssl
import sys
from typing import Any

import faust
import structlog
from faust.types import TP

from churn.errors import ChurnError
from churn.settings import Settings
from stream_processors.ending import EndingWorker
from stream_processors.roles import Role
from stream_processors.transport import BatchApp, NoTables, RawSchema

GC_THRESHOLDS = (50_000, 10, 1_000)
"""Events are made by the hundred thousand and none is cyclic; at the default of 700 collections cost 40 % (measured).

Full collections walk every event id that is remembered, a fifth of the time when they came as often as by default."""
SWITCH_SECONDS = 0.0005
"""A thread that comes back from a socket, or from a step of numpy, waits so long for the lock on Python while another
computes. There are some 50 such moments in a write of 1,300 rows: beside a busy thread 13,000 rows a second are written with
the default of 5 ms, 43,000 with 1 ms, 84,000 with 0.3 ms."""
BUFFERED_BATCHES = 1000
"""Never reached: the transport stops reading long before."""
BATCH_RECORDS = 10_000
"""10,000 events are 40 ms of work: large enough for vectorised steps, small enough for a 50 ms emission."""

METADATA_MS = 5_000
"""A worker that joins while the broker does not know its topic (yet, or after an outage) is assigned nothing, and looks
again when this has passed; the default is five minutes."""
HEAP_OPTIONS = {-8: 2, -3: 4 << 20, -1: 4 << 20}
"""M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of `malloc.h`."""

log = structlog.get_logger(__name__)


def create_app(role: Role, settings: Settings) -> BatchApp:
    """Return the Faust application that feeds a role; nothing connects before it is started."""
    app = BatchApp(
        f"{settings.topic_prefix}-{role.name}",
        positions=role,
        batch_topic=role.topic,
        broker=[f"kafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
        store="memory://",
        TableManager=NoTables,
        # Stays empty, but Faust makes the folder, by default where the process starts.
        datadir=str(settings.data_dir / "faust" / role.name),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFERED_BATCHES,
        broker_max_poll_records=BATCH_RECORDS,
        broker_commit_interval=1.0,
        consumer_group_instance_id=settings.member_id or None,
        broker_session_timeout=float(settings.session_timeout_seconds),
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_request_timeout=120.0,
        consumer_metadata_max_age_ms=METADATA_MS,
        consumer_max_fetch_size=4 * 1024 * 1024,
        consumer_auto_offset_reset="earliest",
        broker_credentials=_credentials(settings),
    )
    _connect(app, role, settings)
    return app


def _credentials(settings: Settings) -> Any:
    """Return Faust's form of the security settings; None for a plain connection."""
    protocol = settings.kafka_security_protocol.upper()
    context = (
        ssl.create_default_context(cafile=settings.kafka_ssl_ca_file or None) if protocol.endswith("SSL") else None
    )
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            mechanism=settings.kafka_sasl_mechanism,
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password.get_secret_value(),
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _connect(app: BatchApp, role: Role, settings: Settings) -> None:
    topic = app.topic(role.topic, schema=RawSchema())

    @app.agent(topic, name=role.name)
    async def take_batches(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            end = app.consumer.highwater(message.tp) or 0
            try:
                await role.process(message.partition, message.value, end)
            except ChurnError as error:
                # The batch is not acknowledged by anything; a fresh start replays it from the last checkpoint.
                log.error("batch failed", partition=message.partition, offset=message.offset, error=str(error))
                await app.crash(error)
                raise

    @app.on_partitions_revoked.connect
    async def let_go(_: Any, /, *args: Any, signal: Any = None, **__: Any) -> None:  # noqa: ARG001  Faust passes it by name
        revoked: set[TP] = args[0]
        await role.release(sorted(tp.partition for tp in revoked if tp.topic == role.topic))

    @app.task
    async def keep_time() -> None:
        pause_seconds = settings.emit_interval_ms / 1000
        while not app.should_stop:
            try:
                await role.tick()
            except ChurnError as error:
                log.error("the worker stops", error=str(error))
                await app.crash(error)
                raise
            await asyncio.sleep(pause_seconds)


def keep_heap_small() -> None:
    """Make the C library give back what it frees: with a heap for each of 33 threads a user takes 370 bytes more."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries than glibc have none
    if set_option is not None:
        for option, value in HEAP_OPTIONS.items():
            set_option(option, value)


def run(role: Role, settings: Settings) -> None:
    """Run a role until SIGTERM or SIGINT; raises SystemExit with the worker's exit code."""
    gc.freeze()
    keep_heap_small()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    (settings.data_dir / "faust").mkdir(parents=True, exist_ok=True)
    worker = EndingWorker(create_app(role, settings), loglevel="WARN", redirect_stdouts=False, quiet=True)
    try:
        worker.execute_from_commandline()
    finally:
        role.close()
        if worker.deadline is not None:
            worker.deadline.cancel()
