# SPDX-License-Identifier: Apache-2.0
"""What answers questions about deaths on a Unix socket as the daemon does: a real ledger and a
real HTTP server, without the probes."""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from pidinfod.deaths.ledger import Filter, Ledger


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        daemon = self.server.daemon
        query = urlsplit(self.path).query
        daemon.asked.append(query)
        status, answer = daemon.refusal or (200, None)
        if answer is None:
            try:
                wanted = Filter.parse(
                    dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
                )
                answer = daemon.ledger.answer(wanted).as_dict()
            except ValueError as error:
                status, answer = 400, {"error": str(error)}
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "local"

    def log_message(self, *args):
        pass


class _Server(socketserver.UnixStreamServer):
    def get_request(self):
        sock, _ = self.socket.accept()
        return sock, ("local", 0)


class Daemon:
    """In a folder. `asked` has the queries; `refusal` is a status and body in place of answers."""

    def __init__(self, folder, capacity=4099):
        self.path = folder / "socket"
        self._capacity = capacity
        self.asked = []
        self.refusal = None

    def start(self):
        self.ledger = Ledger(self._capacity, lambda group: f"g{group}", {}.get, lambda: None)
        self.path.unlink(missing_ok=True)
        self._server = _Server(str(self.path), _Handler)
        self._server.daemon = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
