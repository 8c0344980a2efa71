"""`flower-superlink` with its three APIs apart: Fleet for nodes, Runtime for ServerApps, Control for whoever holds a token.

The stock SuperLink serves all three on one port and its Control API asks for no credentials, so any node could start a run,
which is to run code on every other node. Here each API has a port of its own and answers 403 on the others', and Control
wants the token as well. Run as a program it takes `flower-superlink`'s flags and the three of `OWN_FLAGS`.

What of Flower is replaced, in this process only, is `uvicorn.run`, which `flower_superlink` calls last, and what restarts.py and
sendings.py say.
"""

import argparse
import hmac
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from flwr.superlink.cli import flower_superlink

from fedwright_federation.flower.restarts import survive_restarts
from fedwright_federation.flower.sendings import watch_sendings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OWN_FLAGS = ("--control-port", "--runtime-port", "--control-token-file")
HEALTH = "/health"


@dataclass(frozen=True)
class Doors:
    """The three listening sockets."""

    fleet: socket.socket
    control: socket.socket
    runtime: socket.socket

    @classmethod
    def open(cls, host: str, fleet: int = 0, control: int = 0, runtime: int = 0) -> "Doors":
        """Bind and listen; port 0 takes any that is free. Raises OSError where one is taken."""
        return cls(*(_listen(host, port) for port in (fleet, control, runtime)))

    @property
    def addresses(self) -> tuple[str, str, str]:
        """Host and port of Fleet, Control and Runtime."""
        return (_address(self.fleet), _address(self.control), _address(self.runtime))

    def close(self) -> None:
        for one in (self.fleet, self.control, self.runtime):
            one.close()


class Guard:
    """Lets a request through where its path belongs to the port it came by, and to Control only with the token."""

    def __init__(self, app: Application, doors: Doors, token: str) -> None:
        self._app, self._token = app, token
        self._control = _port(doors.control)
        self._prefix = {
            _port(doors.fleet): "/v1/fleet/",
            self._control: "/v1/control/",
            _port(doors.runtime): "/v1/runtime/",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._admits(scope):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def _admits(self, scope: Scope) -> bool:
        path, port = scope["path"], scope["server"][1]
        if scope["type"] != "http":
            return False
        if path == HEALTH:
            return True
        return path.startswith(self._prefix[port]) and (port != self._control or self._knows_the_token(scope))

    def _knows_the_token(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())


def serve(flags: Sequence[str], doors: Doors, token: str) -> None:
    """Be the SuperLink, with `flower-superlink`'s flags, on sockets that are open already."""

    def run(app: Application, *, host: str, port: int, **options: Any) -> None:
        del host, port  # the sockets say it
        options.pop("workers", None)
        config = uvicorn.Config(Guard(app, doors, token), **{**options, "access_log": False})
        uvicorn.Server(config).run(sockets=[doors.fleet, doors.control, doors.runtime])

    survive_restarts()
    watch_sendings()
    uvicorn.run = run  # type: ignore[assignment]
    host, port = doors.fleet.getsockname()[:2]
    sys.argv = ["flower-superlink", *flags, "--host", host, "--port", str(port)]
    flower_superlink()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="of the Fleet API")
    parser.add_argument("--control-port", type=int, default=8001)
    parser.add_argument("--runtime-port", type=int, default=8002)
    parser.add_argument("--control-token-file", type=Path, required=True)
    own, flags = parser.parse_known_args(argv)
    doors = Doors.open(own.host, own.port, own.control_port, own.runtime_port)
    serve(flags, doors, own.control_token_file.read_text().strip())
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)
    return listener


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
