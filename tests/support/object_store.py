"""A real S3-compatible server on loopback, and a line to it that can answer for it, or stop in the middle of a request."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

READY_SECONDS = 60.0
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "very-private"}
"""Always given: without, a client would look for a cloud's metadata service."""


@contextmanager
def server(**environment: str) -> Iterator[str]:
    """Its endpoint."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, **ENVIRONMENT, **environment}, **quiet) as process:  # type: ignore[call-overload]
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def make_bucket(endpoint: str, name: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT")):
        pass


def put(endpoint: str, path: str, data: bytes) -> None:
    """What somebody else puts there."""
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{path}", data=data, method="PUT")):
        pass


def options(endpoint: str) -> dict[str, Any]:
    """What the chart's `artifacts.options` would say."""
    return {"endpoint": endpoint, "region": "us-east-1", "client_options": {"allow_http": True}}


class Line:
    """A TCP proxy. `answer`: an HTTP status that it gives in the server's place. `hold_after`: bytes of a connection that
    pass before it stands still, with whoever sends waiting."""

    def __init__(self, endpoint: str) -> None:
        self._target = int(endpoint.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.answer, self.hold_after = "", 0
        self.held = threading.Event()
        self.connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """All that are connected; what is set counts from the next connection on."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open = []

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._open.append(client)
                serve = self._refuse if self.answer else self._pass_on
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    def _refuse(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            said = b""
            while b"\r\n\r\n" not in said:
                said += client.recv(65536)
            head, _, body = said.partition(b"\r\n\r\n")
            length = next(
                (int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")), 0
            )
            while len(body) < length and (more := client.recv(65536)):
                body += more
            client.sendall(f"HTTP/1.1 {self.answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    def _pass_on(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as upstream:
            self._open.append(upstream)
            threading.Thread(target=_copy, args=(upstream, client), daemon=True).start()
            passed = 0
            while data := client.recv(65536):
                upstream.sendall(data)
                passed += len(data)
                if self.hold_after and passed >= self.hold_after:
                    self.held.set()
                    while client.recv(65536):  # until whoever sends is gone
                        time.sleep(0.1)
                    return


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError("the server does not listen")
