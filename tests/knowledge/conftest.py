"""The shipped knowledge base, small entries, and servers that speak the protocols of Qdrant and of an embedding model."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from fedwright_agents.knowledge.entries import Entry, Facets, Kind
from fedwright_agents.knowledge.minilm import MiniLM
from fedwright_agents.knowledge.search import KnowledgeBase, open_knowledge


@pytest.fixture(scope="session")
def model() -> MiniLM:
    return MiniLM()


class Remembering:
    """The model, asked once for each text."""

    def __init__(self, model: MiniLM) -> None:
        self.identity, self._model, self._known = model.identity, model, {}

    def embed(self, texts):
        for text in texts:
            if text not in self._known:
                self._known[text] = self._model.embed([text])[0]
        return np.stack([self._known[text] for text in texts])


@pytest.fixture(scope="session")
def remembering(model) -> Remembering:
    return Remembering(model)


@pytest.fixture(scope="session")
def base(remembering) -> KnowledgeBase:
    return open_knowledge(embedder=remembering)


@pytest.fixture
def few() -> tuple[Entry, ...]:
    """Three entries."""
    said = {
        "part/Bits": ("Rounding", "Numbers are rounded before they are sent.", ("upload",)),
        "part/Pull": ("A leash", "Weights are held near where they began.", ("gradients",)),
        "method/plain": ("Averaging", "The mean of all models.\n\nThe plainest method.", ()),
    }
    return tuple(
        Entry(
            id=id,
            kind=Kind.METHOD if id.startswith("method") else Kind.PART,
            title=title,
            text=text,
            source="a test",
            facets=Facets(slots=slots),
        )
        for id, (title, text, slots) in said.items()
    )


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass

    def body(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def answer(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def qdrant() -> Iterator[tuple[str, QdrantClient]]:
    """A server of Qdrant's REST interface over Qdrant's own engine in memory, as far as the index asks, and that engine."""
    engine = QdrantClient(":memory:")

    class Handler(_Quiet):
        def reply(self, result: object) -> None:
            self.answer({"result": result, "status": "ok", "time": 0.0})

        @property
        def words(self) -> list[str]:
            return urlsplit(self.path).path.strip("/").split("/")

        def do_GET(self) -> None:
            self.reply({"exists": engine.collection_exists(self.words[1])})

        def do_PUT(self) -> None:
            _, collection, *rest = self.words
            body = self.body()
            if rest:
                batch = models.Batch.model_validate(body["batch"]) if "batch" in body else None
                points = [models.PointStruct.model_validate(one) for one in body.get("points", ())]
                engine.upsert(collection, batch or points)
                return self.reply({"operation_id": 0, "status": "completed"})
            try:
                engine.create_collection(collection, models.VectorParams.model_validate(body["vectors"]))
            except ValueError as there:
                return self.answer({"status": {"error": str(there)}, "time": 0.0}, 409)
            return self.reply(True)

        def do_DELETE(self) -> None:
            self.reply(engine.delete_collection(self.words[1]))

        def do_POST(self) -> None:
            body = self.body()
            if self.words[-1] == "count":
                return self.reply({"count": engine.count(self.words[1]).count})
            asked = models.QueryRequest.model_validate(body)
            found = engine.query_points(
                self.words[1],
                query=asked.query,
                query_filter=asked.filter,
                limit=asked.limit,
                with_payload=asked.with_payload,
            )
            return self.reply(found.model_dump(mode="json"))

    with serving(Handler) as url:
        yield url, engine


@pytest.fixture
def embedding_server(monkeypatch) -> Iterator[tuple[str, dict]]:
    """An OpenAI-compatible `/embeddings`, and what it answers with: a status and a function from texts to rows."""
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", "sk-none")
    says: dict = {"status": 200, "rows": lambda texts: [[float(len(text)), 1.0, 2.0] for text in texts], "asked": []}

    class Handler(_Quiet):
        def do_POST(self) -> None:
            body = self.body()
            says["asked"].append(body)
            if says["status"] != 200:
                return self.answer({"error": {"message": "no such model"}}, says["status"])
            rows = says["rows"](body["input"])
            data = [{"object": "embedding", "index": k, "embedding": row} for k, row in enumerate(rows)]
            usage = {"prompt_tokens": 1, "total_tokens": 1}
            return self.answer({"object": "list", "data": data, "model": body["model"], "usage": usage})

    with serving(Handler) as url:
        yield f"{url}/v1", says
