"""What ServerApps left, over the network: for the token's holder alone, and plain files alone, whatever generated code made there."""

import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from fedwright_crds.certificates import new_authority, new_server
from fedwright_federation.flower.plain import NoPlainFileError
from fedwright_federation.flower.pod.results import Server
from fedwright_federation.flower.site import PodSite

TOKEN = "t" * 64


@dataclass(frozen=True)
class Given:
    """A server over a folder, and what a Platform box is given of it."""

    results: Path
    address: str
    site: PodSite

    def get(self, path: str, token: str = TOKEN) -> httpx.Response:
        context = ssl.create_default_context(cafile=self.site.secret / "ca.crt")
        with httpx.Client(verify=context) as client:
            return client.get(f"https://{self.address}{path}", headers={"authorization": f"Bearer {token}"})


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Given]:
    now, secret, results = datetime.now(UTC), tmp_path / "secret", tmp_path / "results"
    authority = new_authority(30, now)
    pair = new_server(authority, ["localhost"], 30, now)
    (results / "job-1").mkdir(parents=True)
    secret.mkdir()
    for name, content in {"tls.crt": pair.certificate, "tls.key": pair.key}.items():
        (tmp_path / name).write_bytes(content)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with Server(("127.0.0.1", 0), results, TOKEN, context) as server:
        address = f"localhost:{server.server_address[1]}"
        reach = {"controlAddress": "localhost:1", "resultsAddress": address, "nodesWanted": 2}
        (secret / "reach.json").write_text(json.dumps(reach))
        (secret / "ca.crt").write_bytes(authority.certificate)
        (secret / "token").write_text(TOKEN)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Given(results, address, PodSite(secret))
        server.shutdown()
        thread.join()


def test_it_gives_a_job_s_files(given: Given) -> None:
    (given.results / "job-1" / "metrics.json").write_bytes(b"figures")
    assert given.site.result("job-1", "metrics.json") == b"figures" and given.site.nodes_wanted() == 2


def test_what_is_not_there_yet_is_not_found(given: Given) -> None:
    with pytest.raises(FileNotFoundError):
        given.site.result("job-1", "model.npz")
    with pytest.raises(FileNotFoundError):
        given.site.result("job-2", "metrics.json")


def test_without_the_token_it_gives_nothing_and_does_not_say_what_there_is(given: Given) -> None:
    (given.results / "job-1" / "metrics.json").write_bytes(b"figures")
    for token in ("none", TOKEN[:-1], "t"):
        for path in ("/job-1/metrics.json", "/job-2/metrics.json", "/"):
            answer = given.get(path, token)
            assert answer.status_code == 403 and answer.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/job-1",
        "/job-1/",
        "/job-1/starts",
        "/../secret/token",
        "/job-1/%2e%2e/x",
        "/job-1/model.npz/",
        "//job-1/model.npz",
    ],
)
def test_it_knows_two_names_and_no_way_out(given: Given, path: str) -> None:
    (given.results / "job-1" / "starts").write_bytes(b"1")
    assert given.get(path).status_code == 404


def test_a_link_that_generated_code_left_is_never_followed(given: Given) -> None:
    token = given.site.secret / "token"
    (given.results / "job-1" / "metrics.json").symlink_to(token)
    (given.results / "job-2").symlink_to(token.parent)
    os.mkfifo(given.results / "job-1" / "model.npz")
    for job, name in (("job-1", "metrics.json"), ("job-1", "model.npz")):
        with pytest.raises(NoPlainFileError, match=name):
            given.site.result(job, name)
    with pytest.raises(NoPlainFileError):
        given.site.result("job-2", "metrics.json")


def test_one_who_says_nothing_keeps_nobody_waiting(given: Given) -> None:
    (given.results / "job-1" / "metrics.json").write_bytes(b"figures")
    host, port = given.address.split(":")
    with socket.create_connection((host, int(port))):
        assert given.site.result("job-1", "metrics.json") == b"figures"


def test_it_speaks_tls_alone(given: Given) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{given.address}/health")
