"""The program beside a ServerApp that gives its results to whoever holds the Control token: GET /<job>/<file>, over TLS.

The results were written by generated code, in another container of the pod; here they are mounted read-only, and read as plain
files of known names. There is no API of Flower's for models and metrics.
"""

import argparse
import hmac
import re
import ssl
import sys
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fedwright_federation.flower.plain import NoPlainFileError, read_plain

PATH = re.compile(r"/(?P<job>[A-Za-z0-9-]{1,128})/(?P<name>model\.npz|metrics\.json)")
HEALTH = "/health"
PATIENCE_SECONDS = 30.0
"""For one who says nothing, or reads nothing."""
MOST_AT_ONCE = 16


class Server(ThreadingHTTPServer):
    """Each connection has a thread, in which TLS is spoken too: one who does not shake hands keeps nobody else waiting."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], results: Path, token: str, context: ssl.SSLContext) -> None:
        super().__init__(address, Handler)
        self.results, self.token, self._context = results, token, context
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._places:
            super().process_request_thread(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(PATIENCE_SECONDS)
        try:
            with self._context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError as problem:  # ssl.SSLError is one
            print(f"a connection failed: {problem}", file=sys.stderr, flush=True)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        if self.path == HEALTH:
            self._answer(HTTPStatus.OK, b"")
        elif not self._knows_the_token():
            self._answer(HTTPStatus.FORBIDDEN, b"")
        elif asked := PATH.fullmatch(self.path):
            self._give(self.server.results / asked["job"] / asked["name"])
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: whoever follows a run asks twice a second."""

    def _give(self, path: Path) -> None:
        try:
            self._answer(HTTPStatus.OK, read_plain(path))
        except FileNotFoundError:
            self._answer(HTTPStatus.NOT_FOUND, b"")
        except NoPlainFileError as problem:
            self._answer(HTTPStatus.CONFLICT, str(problem).encode())

    def _answer(self, status: HTTPStatus, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _knows_the_token(self) -> bool:
        given = self.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.server.token}".encode())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8003)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--certificate-key", type=Path, required=True)
    parser.add_argument("--control-token-file", type=Path, required=True)
    given = parser.parse_args(argv)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(given.certificate, given.certificate_key)
    token = given.control_token_file.read_text().strip()
    with Server((given.host, given.port), given.results, token, context) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
