# SPDX-License-Identifier: Apache-2.0
"""HTTP: /metrics, /api/v1/deaths, a page that points to them, /-/healthy.

The command asks the daemon the same way, over the daemon's Unix socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from pidinfod.deaths.ledger import Filter, Ledger

StartResponse = Callable[[str, list[tuple[str, str]]], Any]

PAGE = b"""<!doctype html><html lang="en"><head><title>pidinfod</title></head><body>
<h1>pidinfod</h1><p>Processes, signals, forks and exits of this host.</p>
<ul><li><a href="/metrics">Metrics</a></li><li><a href="/api/v1/deaths">Deaths</a></li>
<li><a href="/-/healthy">Health</a></li></ul>
</body></html>
"""
TEXT = "text/plain; charset=utf-8"


def deaths_json(ledger: Ledger, query: str) -> bytes:
    """The deaths that a query asks for, newest first. Raises ValueError for a bad query."""
    wanted = Filter.parse(dict(parse_qsl(query, strict_parsing=bool(query))))
    return json.dumps({"deaths": [asdict(death) for death in wanted.of(ledger)]}).encode()


def make_app(
    registry: CollectorRegistry, ledger: Ledger | None
) -> Callable[..., Iterable[bytes]]:
    """The WSGI application; without a ledger there are no deaths to tell."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, content_type, body = "200 OK", TEXT, b""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"only GET and HEAD\n"
        elif path == "/metrics":
            encode, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
            body = encode(registry)
        elif path == "/api/v1/deaths":
            content_type = "application/json"
            if ledger is None:
                status, body = "503 Service Unavailable", b'{"error": "the probes are missing"}'
            else:
                try:
                    body = deaths_json(ledger, environ["QUERY_STRING"])
                except ValueError as error:
                    status = "400 Bad Request"
                    body = json.dumps({"error": str(error)}).encode()
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

    def __init__(
        self, address: tuple[str, int], registry: CollectorRegistry, ledger: Ledger | None
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.set_app(make_app(registry, ledger))

    def server_bind(self) -> None:
        """Without the look-up of our own name that the base class makes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


class _UnixHandler(_Handler):
    def address_string(self) -> str:
        return "local"


class UnixServer(socketserver.ThreadingMixIn, WSGIServer):
    """The same over a Unix socket that everyone may use. Raises OSError."""

    address_family = socket.AF_UNIX
    daemon_threads = True

    def __init__(self, path: Path, registry: CollectorRegistry, ledger: Ledger | None) -> None:
        self.path = path
        path.parent.mkdir(mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # of a daemon that was killed
        super().__init__(str(path), _UnixHandler)  # type: ignore[arg-type]
        os.chmod(path, 0o666)
        self.set_app(make_app(registry, ledger))

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        sock, _ = self.socket.accept()
        return sock, ("local", 0)

    def server_close(self) -> None:
        super().server_close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
