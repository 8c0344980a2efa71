"""Watches over HTTP: a list in pages, then what changes; what breaks is listed anew, and what went meanwhile is not kept."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client
from scripted_provider import ScriptedServer

from fedwright_operator.cluster import watches
from fedwright_operator.cluster.api import JOB, Api, ApiError, AwayError
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.intake import Intake
from fedwright_operator.cluster.labels import ROOT
from fedwright_operator.cluster.watches import Watch

Json = dict[str, Any]


BREAK: Json = {"type": "BREAK"}
"""The connection breaks."""


class Server(ScriptedServer):
    """An API server with Jobs alone, that sends of each watch what it is told, and then breaks it off or holds on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lists: list[list[Json]] = []
        """What there is at each list, the last one from then on; in pages of two."""
        self.streams: list[list[Json]] = []
        """What each watch brings before it ends; the last one goes on."""
        self.asked: list[dict[str, str]] = []
        self.api = Api(client.Configuration(host=f"http://127.0.0.1:{self.server_address[1]}"))
        self.serve()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
        self.server.asked.append(query)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if "watch" in query:
            self._watch()
        else:
            self._page(int(query.get("continue", 0)))
        self._chunk(b"")

    def _page(self, start: int) -> None:
        lists = self.server.lists
        items = lists[0] if len(lists) == 1 or start else lists.pop(0)
        more = str(start + 2) if start + 2 < len(items) else ""
        metadata = {"resourceVersion": "50", "continue": more}
        self._chunk(json.dumps({"metadata": metadata, "items": items[start : start + 2]}).encode())

    def _watch(self) -> None:
        streams = self.server.streams
        for event in streams.pop(0) if streams else ():
            if event == BREAK:
                self.wfile.write(b"ff\r\nhalf a chunk")
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._chunk(json.dumps(event).encode() + b"\n")
        if not streams:
            self.server.ended.wait(20)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(watches, "FIRST_PAUSE_SECONDS", 0.01)
    found = Server()
    yield found
    found.close()


def job(uid: str, version: int) -> Json:
    metadata = {"name": uid, "namespace": "default", "uid": uid, "resourceVersion": str(version), "labels": {ROOT: "r"}}
    return {"metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"large": "x" * 1000}}


def event(kind: str, uid: str, version: int) -> Json:
    return {"type": kind, "object": job(uid, version)}


@contextmanager
def watching(server: Server) -> Iterator["Heard"]:
    heard = Heard(server)
    heard.watch.start()
    try:
        yield heard
    finally:
        heard.watch.stop()


class Heard:
    """What a watch has brought."""

    def __init__(self, server: Server) -> None:
        self.cache, self.asked = Cache(), list[str]()
        self.watch = Watch(server.api, JOB, "", Intake(self.cache, self.asked.append, lambda _: None))

    @property
    def held(self) -> dict[str, str]:
        return {body["metadata"]["uid"]: body["metadata"]["resourceVersion"] for body in self.cache}


def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true within 5 s")


def test_all_pages_are_there_before_it_is_listed_and_what_changes_follows(server: Server) -> None:
    server.lists = [[job("a", 1), job("b", 2), job("c", 3)]]
    server.streams = [[event("ADDED", "d", 51), event("MODIFIED", "a", 52), event("DELETED", "b", 53)]]
    with watching(server) as heard:
        assert heard.watch.listed(5)
        assert {"a", "c"} <= heard.held.keys()
        until(lambda: heard.held == {"a": "52", "c": "3", "d": "51"})
    assert set(heard.asked) == {"r"}


def test_it_goes_on_from_the_last_version_where_the_server_ends_the_watch(server: Server) -> None:
    server.lists = [[job("a", 1)]]
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "70"}}}
    server.streams = [[event("MODIFIED", "a", 60), bookmark], [event("MODIFIED", "a", 71)]]
    with watching(server) as heard:
        until(lambda: heard.held == {"a": "71"})
    assert [one["resourceVersion"] for one in server.asked if "watch" in one] == ["50", "70"]


def test_where_it_breaks_or_is_too_old_it_lists_anew_and_drops_what_went(server: Server) -> None:
    server.lists = [[job("a", 1), job("b", 2)], [job("b", 2)], [job("b", 2), job("c", 9)]]
    too_old = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
    server.streams = [[BREAK], [too_old], []]
    with watching(server) as heard:
        until(lambda: heard.held == {"b": "2", "c": "9"})


def test_of_what_the_cluster_made_only_what_is_read_is_kept(server: Server) -> None:
    server.lists = [[job("a", 1)]]
    heard = Heard(server)
    watches.take_stock(server.api, JOB, "", Intake(heard.cache, heard.asked.append, lambda _: None))
    (body,) = heard.cache
    assert "spec" not in body
    assert body["kind"] == "Job"


def test_what_is_known_is_no_news_and_wakes_no_pass(server: Server) -> None:
    server.lists = [[job("a", 5)]]
    server.streams = [[event("ADDED", "a", 5), event("ADDED", "z", 6)]]
    with watching(server) as heard:
        until(lambda: "z" in heard.held)
    assert len(heard.asked) == 2, "one of the list, one of the watch"


def test_an_error_in_a_watch_is_what_the_api_says_it_is(server: Server) -> None:
    server.streams = [[{"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}], []]
    with pytest.raises(ApiError, match="too old") as caught:
        list(server.api.watch(JOB, "", "", "1"))
    assert caught.value.status == 410


def test_a_server_that_is_not_there_is_away() -> None:
    api = Api(client.Configuration(host="http://127.0.0.1:9"))
    with pytest.raises(AwayError):
        list(api.watch(JOB, "", "", "1"))
