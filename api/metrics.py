"""What `/metrics` says of the API: every request counted and timed, and the state as it is when asked."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import ProcessCollector, generate_latest

from api.pulse import PulseView
from api.readiness import Health
from feature_repo.instruments import Instruments

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def instruments() -> Instruments:
    """Return the instruments of one application, with those of the process it runs in (memory, CPU, files)."""
    made = Instruments("api")
    ProcessCollector(registry=made.registry)
    return made


def exposition(instruments: Instruments, health: Health, view: PulseView) -> bytes:
    """Return all metrics in Prometheus' text format, with the state as it is now."""
    instruments.set("churn_ready", health.readiness.ready)
    instruments.set("churn_redis_up", health.redis.ok)
    instruments.set("churn_kafka_up", health.kafka.ok)
    for band, count in view.users_by_band.items():
        instruments.set("churn_users_by_band", count, band=band)
    return generate_latest(instruments.registry)


class Measured:
    """Counts and times every request: plain ASGI, because Starlette's middleware class costs a task a request."""

    def __init__(self, app: Callable[..., Awaitable[None]], instruments: Instruments) -> None:
        """Wrap an application."""
        self._app, self._instruments = app, instruments

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), [500]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, status[0], time.perf_counter() - began)

    def _note(self, scope: dict[str, Any], status: int, seconds: float) -> None:
        # The route's pattern, never the path: a label per user id would grow without bound.
        route = getattr(scope.get("route"), "path_format", "unmatched")
        self._instruments.count("churn_http_requests", route=route, status=str(status))
        self._instruments.observe("churn_http_request_seconds", seconds, route=route)
