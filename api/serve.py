"""Serves the application with granian in this process, until SIGTERM or SIGINT."""

import asyncio
import gc
import signal

import uvloop
from fastapi import FastAPI
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from api.app import create_app
from api.wiring import wire
from churn.declaration import Declaration
from churn.errors import OutageError
from churn.settings import Settings


def run(settings: Settings, declaration: Declaration) -> None:
    """Serve until asked to stop; requests that have begun are answered first.

    Raises:
        OutageError: the address cannot be listened on, or the server ended unasked.
    """
    app = create_app(wire(settings, declaration))
    # What lives for the whole process is not looked at again: a full collection took milliseconds of every slow request.
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(app, settings.api_host, settings.api_port))


async def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve an application in the running loop."""
    server = Server(app, host, port, interface=Interfaces.ASGI, http=HTTPModes.http1, websockets=False, backlog=1024)
    asked = asyncio.Event()

    def stop() -> None:
        asked.set()
        server.stop()  # type: ignore[no-untyped-call]  # granian does not annotate it

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await server.serve()
    if not asked.is_set():
        raise OutageError(f"the API on {host}:{port} ended unasked; its log says why")
