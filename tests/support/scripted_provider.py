"""An OpenAI-compatible server over real HTTP that does as a script says, chosen by the model's name, and counts for itself.

It counts as unkindly as it may: a token for each byte of text, a template around each message, and every answer as long as
it was allowed to be. What it counts, it counts when the request has come, whether or not anybody is left to read the answer.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

Json = dict[str, Any]

TEMPLATE = 12
"""Tokens around each message."""


@dataclass(frozen=True)
class Received:
    model: str
    body: Json
    headers: dict[str, str]
    at: float


class ScriptedServer(ThreadingHTTPServer):
    """Listens when made. A script that waits ends with `ended`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.ended = Event()
        self.lock = Lock()

    def serve(self) -> None:
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave early are part of the scripts."""


class ScriptedProvider(ScriptedServer):
    """`scripts` may be added to at any time; a model without one is answered."""

    def __init__(self, scripts: dict[str, "Script"] | None = None, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        super().__init__(address, Handler)
        self.scripts = dict(scripts or {})
        self.received: list[Received] = []
        self.counted = 0
        self.serve()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def asked(self, model: str) -> list[Received]:
        return [one for one in self.received if one.model == model]


class Handler(BaseHTTPRequestHandler):
    server: ScriptedProvider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = body["model"]
        with self.server.lock:
            before = len(self.server.asked(model))
            self.server.received.append(Received(model, body, dict(self.headers), time.monotonic()))
            self.server.counted += count(body)["total_tokens"]
        self.server.scripts.get(model, answer())(self, body, before)

    def send(self, status: int, content: bytes, kind: str = "application/json", **headers: str) -> None:
        self.begin(status, kind, len(content), **headers)
        self.wfile.write(content)

    def begin(self, status: int, kind: str, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(length), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


Script = Callable[[Handler, Json, int], None]
"""What to do with a request: the handler, its body, and how many came before for the same model."""


def count(body: Json) -> dict[str, int]:
    texts = [str(one.get("content") or "") for one in body["messages"]]
    prompt = sum(len(text.encode()) + TEMPLATE for text in texts)
    most = body.get("max_tokens", body.get("options", {}).get("num_predict", 0))
    completion = int(most) * int(body.get("n", 1))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def completion(body: Json, content: str | None = "Yes.", **changes: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": f"{body['model']}-2026-01",
        "choices": [choice],
        "usage": count(body),
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def answer(content: str | None = "Yes.", **changes: Any) -> Script:
    """A good answer, or one with these fields changed; None leaves a field out."""
    return lambda handler, body, _: handler.send(200, json.dumps(completion(body, content, **changes)).encode())


def refuse(status: int, message: str = "boom", code: str | None = None, **headers: str) -> Script:
    error = json.dumps({"error": {"message": message, "type": "x", "code": code}}).encode()
    return lambda handler, _body, _: handler.send(status, error, **headers)


def raw(content: bytes, kind: str = "application/json", status: int = 200, **headers: str) -> Script:
    return lambda handler, _body, _: handler.send(status, content, kind, **headers)


def first(*scripts: Script) -> Script:
    """One after the other, the last again and again."""
    return lambda handler, body, before: scripts[min(before, len(scripts) - 1)](handler, body, before)


def hang(handler: Handler, _body: Json, _before: int) -> None:
    handler.server.ended.wait(600)


def ollama(**counts: int) -> Script:
    """Ollama's own form, with or without its counts."""
    message = {"role": "assistant", "content": "Yes."}
    said = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": True, "done_reason": "stop"}
    return raw(json.dumps(said | counts).encode())


def late(seconds: float) -> Script:
    def script(handler: Handler, body: Json, before: int) -> None:
        handler.server.ended.wait(seconds)
        answer()(handler, body, before)

    return script


def drip(handler: Handler, body: Json, _before: int) -> None:
    """A whole answer, one byte a tenth of a second: no single read is slow."""
    content = json.dumps(completion(body)).encode()
    handler.begin(200, "application/json", len(content))
    for byte in content:
        if handler.server.ended.wait(0.1):
            return
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()


def endless(handler: Handler, _body: Json, _before: int) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    chunk = b" " * 65536
    handler.wfile.write(b"1\r\n{\r\n")
    while not handler.server.ended.is_set():
        handler.wfile.write(b"10000\r\n" + chunk + b"\r\n")


def cut(handler: Handler, body: Json, _before: int) -> None:
    """Promises more than it sends, and closes."""
    content = json.dumps(completion(body)).encode()
    handler.begin(200, "application/json", len(content))
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


def tally(received: list[Received]) -> Counter[str]:
    return Counter(one.model for one in received)
