"""Search servers over real HTTP that do as their scripts say, chosen by the first part of the path; by GET or POST.

One answer has the results in the shapes of many providers, so that whichever is asked finds its own.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scripted_provider import ScriptedServer

Json = dict[str, Any]


@dataclass(frozen=True)
class Sought:
    """A search as the server was asked it."""

    name: str
    method: str
    path: str
    parameters: Mapping[str, Sequence[str]]
    body: str
    headers: Mapping[str, str]


class ScriptedSearch(ScriptedServer):
    """`scripts` may be added to at any time; a name without one is answered."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), Handler)
        self.scripts: dict[str, Script] = {}
        self.sought: list[Sought] = []
        self.serve()

    @property
    def netloc(self) -> str:
        return f"{self.server_address[0]!s}:{self.server_port}"

    def url(self, name: str) -> str:
        return f"http://{self.netloc}/{name}/search"

    def asked(self, name: str) -> list[Sought]:
        return [one for one in self.sought if one.name == name]


class Handler(BaseHTTPRequestHandler):
    server: ScriptedSearch
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.split("/")[1]
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        found = Sought(
            name,
            self.command,
            parts.path,
            parse_qs(parts.query),
            body,
            {name.lower(): value for name, value in self.headers.items()},
        )
        with self.server.lock:
            before = len(self.server.asked(name))
            self.server.sought.append(found)
        self.server.scripts.get(name, results())(self, before)

    def do_POST(self) -> None:
        self.do_GET()

    def send(self, status: int, content: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


Script = Callable[[Handler, int], None]
"""What to do with a request: the handler, and how many came before for the same name."""

FOUND = ({"title": "Clustered federated learning", "url": "https://example.org/cfl", "snippet": "Clients in groups."},)


def results(*found: Mapping[str, Any]) -> Script:
    """These results, one if none is named, in the shape of most."""
    return raw(json.dumps(in_every_shape(found or FOUND)).encode())


def in_every_shape(found: Sequence[Mapping[str, Any]]) -> Json:
    rows = [_row(**one) for one in found]
    return {
        "results": rows,
        "organic": rows,
        "organic_results": rows,
        "web": {"results": rows},
        "data": {"web": rows},
        "RelatedTopics": rows,
    }


def _row(title: Any, url: Any, snippet: Any) -> Json:
    """A result under every name that a provider has for its fields."""
    names = {"url": url, "link": url, "FirstURL": url, "name": title, "type": "organic"}
    texts = dict.fromkeys(("snippet", "content", "text", "description"), snippet)
    return {"title": title, **names, **texts, "Text": f"{title} - {snippet}", "excerpts": [snippet]}


def of_provider(provider: str) -> "Script":
    """What a provider answers whose shape is not that of the others."""
    shapes: dict[str, Callable[[list[Json]], Json]] = {
        "you_com": lambda rows: {"results": {"web": rows}},
        "fastcrw": lambda rows: {"data": rows},
        "dataforseo": lambda rows: {"tasks": [{"status_code": 20000, "result": [{"items": rows}]}]},
        "linkup": lambda rows: {"results": [{**one, "type": "text"} for one in rows]},
    }
    whole = shapes.get(provider, lambda _: in_every_shape(FOUND))
    return raw(json.dumps(whole([_row(**one) for one in FOUND])).encode())


def raw(content: bytes, kind: str = "application/json", status: int = 200, **headers: str) -> Script:
    return lambda handler, _: handler.send(status, content, kind, **headers)


def refuse(status: int, message: str = "boom", **headers: str) -> Script:
    return raw(json.dumps({"error": {"message": message}}).encode(), status=status, **headers)


def first(*scripts: Script) -> Script:
    """One after the other, the last again and again."""
    return lambda handler, before: scripts[min(before, len(scripts) - 1)](handler, before)


def hang(handler: Handler, _before: int) -> None:
    handler.server.ended.wait(600)


def drip(handler: Handler, _before: int) -> None:
    """A whole answer, one byte a tenth of a second: no single read is slow."""
    content = json.dumps(in_every_shape(FOUND)).encode()
    handler.send_response(200)
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    for byte in content:
        if handler.server.ended.wait(0.1):
            return
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()


def endless(handler: Handler, _before: int) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    chunk = b" " * 65536
    while not handler.server.ended.is_set():
        handler.wfile.write(b"10000\r\n" + chunk + b"\r\n")


def cut(handler: Handler, _before: int) -> None:
    """Promises more than it sends, and closes."""
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"results": [')
    handler.close_connection = True
