"""Metrics of the API, in a registry of its own so that one process can hold several applications."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from api.champion import ChampionHolder
from api.pulse import PulseView
from api.readiness import Health

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# A look-up takes 0.5 ms, 10,000 predictions half a second.
BUCKETS_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Everything that `/metrics` exports."""

    def __init__(self) -> None:
        """Register every metric."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "churn_api_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "churn_api_request_seconds", "Time to answer", ["route"], buckets=BUCKETS_SECONDS, registry=registry
        )
        self.predictions = Counter("churn_api_predictions", "Feature maps scored on request", registry=registry)
        self.ready = Gauge("churn_api_ready", "1 when users can be looked up and features scored", registry=registry)
        self.redis_up = Gauge("churn_api_redis_up", "1 when the online store answers", registry=registry)
        self.kafka_up = Gauge("churn_api_kafka_up", "1 when Kafka answers the followers", registry=registry)
        self.champion = Gauge(
            "churn_api_champion_info",
            "Always 1; the label names the version that serves",
            ["version"],
            registry=registry,
        )
        self.promoted = Gauge(
            "churn_api_champion_promoted_timestamp_seconds", "When the serving version was promoted", registry=registry
        )
        self.refused = Gauge(
            "churn_api_champion_refused", "1 while the version named champion is refused", registry=registry
        )
        self.refusals = Gauge("churn_api_champion_refusals", "Champions refused since the start", registry=registry)
        self.users = Gauge(
            "churn_api_users_by_band",
            "Users by risk band, among those seen since the start",
            ["band"],
            registry=registry,
        )

    def text(self, health: Health, champion: ChampionHolder, view: PulseView) -> bytes:
        """Return all metrics in Prometheus' text format, with the state as it is now."""
        self.ready.set(health.readiness.ready)
        self.redis_up.set(health.redis.ok)
        self.kafka_up.set(health.kafka.ok)
        self._champion(champion)
        for band, count in view.users_by_band.items():
            self.users.labels(band).set(count)
        return generate_latest(self.registry)

    def _champion(self, champion: ChampionHolder) -> None:
        self.champion.clear()
        if champion.serving is not None:
            self.champion.labels(champion.serving.champion.version).set(1)
            self.promoted.set(champion.serving.champion.promoted_at.timestamp())
        self.refused.set(champion.refusal is not None)
        self.refusals.set(champion.refusals)


class Measured:
    """Counts and times every request: plain ASGI, because Starlette's middleware class costs a task a request."""

    def __init__(self, app: Callable[..., Awaitable[None]], metrics: Metrics) -> None:
        """Wrap an application."""
        self._app, self._metrics = app, metrics

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
        # The route's pattern, never the path: a label per user id would grow without bound. The method is the client's word.
        route = getattr(scope.get("route"), "path_format", "unmatched")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
