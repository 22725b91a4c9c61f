# SPDX-License-Identifier: Apache-2.0
"""HTTP: /metrics, a page that points to it, /-/healthy."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

StartResponse = Callable[[str, list[tuple[str, str]]], Any]

PAGE = b"""<!doctype html><html lang="en"><head><title>pidinfod</title></head><body>
<h1>pidinfod</h1><p>Processes, signals, forks and exits of this host.</p>
<ul><li><a href="/metrics">Metrics</a></li><li><a href="/-/healthy">Health</a></li></ul>
</body></html>
"""
TEXT = "text/plain; charset=utf-8"


def make_app(registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    """The WSGI application."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, content_type, body = "200 OK", TEXT, b""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"only GET and HEAD\n"
        elif path == "/metrics":
            encode, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
            body = encode(registry)
        elif path == "/":
            content_type, body = "text/html; charset=utf-8", PAGE
        elif path == "/-/healthy":
            body = b"healthy\n"
        else:
            status, body = "404 Not Found", b"not here; see /\n"
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body] if method == "GET" else []

    return app


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds that a client may take for its request

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread per request. Raises OSError when the address cannot be had."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.set_app(make_app(registry))

    def server_bind(self) -> None:
        """Without the look-up of our own name that the base class makes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()
