"""What an orchestrator asks a worker: /live, /ready and /metrics over HTTP, on a thread of their own."""

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from feature_repo.instruments import Instruments

Reasons = Callable[[], list[str]]
"""Returns why the process is not ready; empty when it is."""


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Stay silent: a probe every second is no news."""


class HealthServer:
    """Serves the three pages until closed."""

    def __init__(self, host: str, port: int, instruments: Instruments, reasons: Reasons) -> None:
        self._reasons = reasons
        self._instruments = instruments
        self._metrics = make_wsgi_app(instruments.registry)
        self._server: WSGIServer = make_server(host, port, self._answer, handler_class=_QuietHandler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        reasons = self._reasons()
        self._instruments.set("churn_ready", 0 if reasons else 1)
        match environ["PATH_INFO"]:
            case "/metrics":
                answer: Iterable[bytes] = self._metrics(environ, start_response)
                return answer
            case "/live":
                return _json(start_response, "200 OK", {"live": True})
            case "/ready":
                status = "503 Service Unavailable" if reasons else "200 OK"
                return _json(start_response, status, {"ready": not reasons, "reasons": reasons})
        return _json(start_response, "404 Not Found", {"error": "not-found", "message": "/live, /ready or /metrics"})

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def _json(start_response: Any, status: str, body: dict[str, Any]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
