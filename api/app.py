"""The application: routes that translate between HTTP and the functions that decide."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from api import page, replies
from api.answers import FeaturesRequest, InstancesRequest, Prediction, Predictions
from api.dependencies import Dependencies
from api.errors import NoChampionError, TooLargeError
from api.live import LiveData, live_model
from api.lookup import Lookup, checked_depth, checked_user_id
from api.metrics import Measured, exposition
from api.openapi import content, document, responses
from api.prediction import MAX_BODY_BYTES, Asked, parse, predict
from api.readiness import Health, Readiness, health
from api.replies import reply
from churn.errors import ChurnError, OutageError
from churn.reasons import Explainer

DESCRIPTION = "Who will be gone in 30 days, why, and how fresh the answer is."
# A body of 64 kB holds some 40 feature maps and takes 2 ms; larger ones are worked on beside the event loop.
INLINE_BODY_BYTES = 64 * 1024
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_app(dependencies: Dependencies) -> FastAPI:
    """Return the application; followers start, and connections open, with its lifespan."""
    app = FastAPI(
        title="churn",
        description=DESCRIPTION,
        version="1",
        lifespan=_lifespan(dependencies),
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Measured, instruments=dependencies.instruments)
    _answer_errors(app)
    _add_users(app, dependencies)
    _add_predict(app, dependencies)
    _add_state(app, dependencies)
    page.add_routes(app)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app


def _lifespan(dependencies: Dependencies) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for follower in dependencies.followers:
            follower.start()
        try:
            yield
        finally:
            await asyncio.gather(*(asyncio.to_thread(follower.stop) for follower in dependencies.followers))
            await dependencies.reader.close()

    return lifespan


def _answer_errors(app: FastAPI) -> None:
    app.add_exception_handler(ChurnError, replies.churn_error)
    app.add_exception_handler(RequestValidationError, replies.request_error)
    app.add_exception_handler(HTTPException, replies.http_error)
    app.add_exception_handler(Exception, replies.unexpected)


class NamedRoute(Route):
    """A plain route that tells the metrics its name, as FastAPI's own do."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether and how the route matches."""
        match, child_scope = super().matches(scope)
        return match, child_scope if match is Match.NONE else {**child_scope, "route": self}


def _add_users(app: FastAPI, dependencies: Dependencies) -> None:
    lookup = Lookup(dependencies.declaration)
    reader, champion, clock = dependencies.reader, dependencies.champion, dependencies.clock

    async def read_user(request: Request) -> Response:
        user_id = checked_user_id(request.path_params["user_id"])
        depth = checked_depth(request.query_params.get("reasons", "top"))
        row = await reader.read(user_id)
        return reply(lookup.answer(row, champion.serving, depth, clock()))

    # A plain route, documented in `openapi`: resolving two parameters FastAPI's way takes longer (250 us) than the answer.
    # `:path` because a user id may contain a slash.
    app.router.routes.append(NamedRoute("/users/{user_id:path}", read_user, methods=["GET"]))


def _add_predict(app: FastAPI, dependencies: Dependencies) -> None:
    explainer = Explainer(dependencies.declaration)
    names, champion = dependencies.declaration.feature_names, dependencies.champion

    def predicted(body: bytes) -> tuple[Asked, list[Prediction]]:
        asked, serving = parse(body, names), champion.serving
        if serving is None:
            raise NoChampionError("no model is loaded, so nothing can be predicted; /ready says why")
        return asked, predict(asked, serving, explainer, dependencies.bands)

    @app.post(
        "/predict",
        responses=responses("One prediction, or many", Prediction, Predictions, errors=(413, 422, 503)),
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": content(FeaturesRequest, InstancesRequest)}},
        summary="Score feature maps",
    )
    async def predict_features(request: Request) -> Response:
        """Score one map of features or up to 10,000; every feature must be named, null stands for a missing value.

        A map is of no user, so the champion answers, whoever challenges it.
        """
        body = await _body(request)
        inline = len(body) <= INLINE_BODY_BYTES
        asked, predictions = predicted(body) if inline else await asyncio.to_thread(predicted, body)
        dependencies.instruments.count("churn_predictions", len(predictions))
        return reply(predictions[0] if asked.one else Predictions(predictions))


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES // 2**20} MB; send several requests")
    return bytes(body)


def _add_state(app: FastAPI, dependencies: Dependencies) -> None:
    champion = dependencies.champion

    async def seen() -> Health:
        try:
            await dependencies.ping()
        except OutageError as outage:
            return health(str(outage), dependencies.kafka_outage, champion)
        return health(None, dependencies.kafka_outage, champion)

    @app.get(
        "/health",
        responses=_state_responses("All parts", Health),
        response_class=Response,
        summary="State of every part",
    )
    async def read_health() -> Response:
        """Return the state of Redis, Kafka and the model; 503 when users cannot be served."""
        state = await seen()
        return reply(state, 200 if state.readiness.ready else 503)

    @app.get(
        "/ready", responses=_state_responses("Ready", Readiness), response_class=Response, summary="Can it answer?"
    )
    async def read_readiness() -> Response:
        """Return 200 when users can be looked up and features scored, else 503 with the reasons."""
        state = (await seen()).readiness
        return reply(state, 200 if state.ready else 503)

    @app.get("/live", response_class=Response, summary="Is the process up?")
    async def read_liveness() -> Response:
        """Return 200 for as long as the process can answer at all."""
        return Response('{"live":true}', media_type=replies.JSON)

    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
    async def read_metrics() -> Response:
        """Return every metric in Prometheus' text format."""
        text = exposition(dependencies.instruments, await seen(), dependencies.pulse())
        return Response(text, media_type=METRICS_TYPE)

    @app.get("/live-data", responses=responses("One look at the running system", LiveData), response_class=Response)
    async def read_live_data() -> Response:
        """Return what the live page shows."""
        bands = dependencies.bands
        return reply(LiveData(await seen(), live_model(champion), dependencies.pulse(), bands.medium, bands.high))


def _state_responses(description: str, kind: type[Health] | type[Readiness]) -> dict[int | str, Any]:
    away = {503: {"description": "Users cannot be served; the body says why", "content": content(kind)}}
    return responses(description, kind) | away
