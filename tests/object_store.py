"""Object storage on the loopback interface that can be cut off, forget answers and refuse."""

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BUCKET = "lives"

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
"""What the environment of a process needs to reach it."""


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Keep requests out of the tests' output."""


class ObjectStore:
    """An S3 server with one bucket; what it holds outlives `stop` and `start`.

    Attributes:
        loses_answer: Asked for each request with its method and path: whether it is carried out
            but answered with an error of the server.
        num_requests: Requests so far.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._port = 0
        self.loses_answer: Callable[[str, str], bool] = lambda method, path: False
        self.num_requests = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, request_handler=_Quiet
        )
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def post(self, path: str, data: bytes = b"", method: str = "POST") -> None:
        plain = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.endpoint}{path}", data, plain, method=method)
        urllib.request.urlopen(request).close()

    def _answer(self, environ: WSGIEnvironment, respond: StartResponse) -> Iterable[bytes]:
        self.num_requests += 1
        if not self.loses_answer(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            return self._app(environ, respond)
        for _ in self._app(environ, lambda *answer: lambda part: None):
            pass
        respond("500 Internal Server Error", [("Content-Length", "0")])
        return []


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serve an empty bucket while the block runs."""
    store = ObjectStore()
    store.start()
    try:
        store.post("/moto-api/reset")
        store.post(f"/{BUCKET}", method="PUT")
        yield store
    finally:
        store.stop()
