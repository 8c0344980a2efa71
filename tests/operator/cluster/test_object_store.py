"""Artifacts in a bucket of a real S3-compatible server: whole or not there, also when the server or the writer fails."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import object_store
import pytest

from fedwright_crds.base import digest_of
from fedwright_crds.work import BoxKind
from fedwright_operator.cluster import objects
from fedwright_operator.cluster.config import ArtifactSettings, ConfigError
from fedwright_operator.cluster.stored import AWAY, PAUSE_SECONDS, REFUSED, WRONG, Store, StoreError
from fedwright_operator.cluster.stores import opened

DATA = os.urandom(3_000_000)
DIGEST = digest_of(DATA)
NAME = f"default/{DIGEST.removeprefix('sha256:')}"
WRITER = """
import json, sys
from fedwright_crds.base import digest_of
from fedwright_operator.cluster.config import ArtifactSettings
from fedwright_operator.cluster.stores import opened
store = opened(ArtifactSettings(url=sys.argv[1], options=json.loads(sys.argv[2])))
data = b"a" * 8_000_000
store.keep("default", digest_of(data), data)
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store.server() as found:
        yield found


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in object_store.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(endpoint: str) -> str:
    name = f"bucket-{uuid4().hex[:12]}"
    object_store.make_bucket(endpoint, name)
    return name


@pytest.fixture
def line(endpoint: str) -> Iterator[object_store.Line]:
    found = object_store.Line(endpoint)
    yield found
    found.close()


def store_at(bucket: str, endpoint: str, **options: Any) -> Store:
    found = opened(ArtifactSettings(url=f"s3://{bucket}/some/folder", options=object_store.options(endpoint) | options))
    assert found
    return found


def content(store: Store) -> bytes:
    return b"".join(store.pieces("default", DIGEST, len(DATA)))


@pytest.mark.parametrize("options", [{}, {"conditional_put": "disabled"}], ids=["only if absent", "without conditions"])
def test_what_is_kept_is_read_listed_and_removed(bucket: str, endpoint: str, options: dict[str, str]) -> None:
    store = store_at(bucket, endpoint, **options)
    store.keep("default", DIGEST, DATA)
    store.keep("default", DIGEST, DATA)
    assert content(store) == DATA
    assert list(store.names()) == [NAME]
    store.remove(NAME)
    store.remove(NAME)
    assert not list(store.names())
    with pytest.raises(KeyError, match=r"is not below artifacts.url any more"):
        content(store)


def test_of_many_writers_at_once_each_finds_it_whole(bucket: str, endpoint: str) -> None:
    def write(_: int) -> bytes:
        store = store_at(bucket, endpoint)
        store.keep("default", DIGEST, DATA)
        return content(store)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(write, range(8))) == {DATA}


@pytest.mark.parametrize("options", [{}, {"conditional_put": "disabled"}], ids=["only if absent", "without conditions"])
def test_a_wrong_object_is_neither_read_nor_overwritten_and_is_named(
    bucket: str, endpoint: str, options: dict[str, str]
) -> None:
    object_store.put(endpoint, f"{bucket}/some/folder/{NAME}", b"z" * len(DATA))
    store = store_at(bucket, endpoint, **options)
    with pytest.raises(KeyError, match=rf"the object {NAME} below artifacts.url is not what its name says; delete it"):
        content(store)
    with pytest.raises(StoreError, match="delete it") as told:
        store.keep("default", DIGEST, DATA)
    assert told.value.reason == WRONG
    store.remove(NAME)
    store.keep("default", DIGEST, DATA)
    assert content(store) == DATA


def test_a_writer_that_is_killed_in_the_middle_leaves_nothing(
    bucket: str, endpoint: str, line: object_store.Line
) -> None:
    line.hold_after = 2_000_000
    settings = ArtifactSettings(url=f"s3://{bucket}/some/folder", options=object_store.options(line.endpoint))
    arguments = [settings.url, settings.model_dump_json(include={"options"}).removeprefix('{"options":')[:-1]]
    with subprocess.Popen([sys.executable, "-c", WRITER, *arguments]) as writer:
        assert line.held.wait(60)
        writer.send_signal(signal.SIGKILL)
    store = store_at(bucket, endpoint)
    assert not list(store.names())
    data = b"a" * 8_000_000
    store.keep("default", digest_of(data), data)
    assert b"".join(store.pieces("default", digest_of(data), len(data))) == data


def test_a_store_that_is_in_trouble_for_a_while_takes_it_afterwards(
    bucket: str, endpoint: str, line: object_store.Line
) -> None:
    at = [0.0]
    store = store_at(bucket, line.endpoint)
    store._clock = lambda: at[0]
    line.answer = "503 Service Unavailable"
    line.cut()
    with pytest.raises(StoreError, match=r"503 Service Unavailable.*asked again") as told:
        store.keep("default", DIGEST, DATA)
    assert told.value.reason == AWAY
    line.answer = ""
    at[0] = PAUSE_SECONDS
    store.keep("default", DIGEST, DATA)
    assert content(store) == DATA


def test_a_store_that_is_away_at_the_start_is_told_of_and_asked_again(
    bucket: str, line: object_store.Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.answer = "503 Service Unavailable"
    store = store_at(bucket, line.endpoint)
    assert "503 Service Unavailable" in caplog.text
    line.answer = ""
    store._clock = lambda: float("inf")
    store.keep("default", DIGEST, DATA)


def test_a_bucket_that_is_not_there_is_no_store(endpoint: str) -> None:
    with pytest.raises(
        ConfigError, match=r"artifacts.url: the store refuses \(404 Not Found, NoSuchBucket\); check that"
    ):
        store_at("no-such-bucket", endpoint)


def test_a_bucket_that_went_does_not_make_its_objects_lost(bucket: str, endpoint: str) -> None:
    """Else a request would fail for good by a mistake that can be mended."""
    store = store_at(bucket, endpoint)
    store._backend = objects.opened("s3://gone", object_store.options(endpoint))
    with pytest.raises(StoreError, match="NoSuchBucket"):
        content(store)


def test_credentials_that_are_refused_stop_the_start_and_are_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    with object_store.server(INITIAL_NO_AUTH_ACTION_COUNT="1") as strict:
        object_store.make_bucket(strict, "bucket")
        with pytest.raises(
            ConfigError, match=r"403 Forbidden, InvalidAccessKeyId.*artifacts.credentialsSecret"
        ) as told:
            store_at("bucket", strict)
        assert told.value.__cause__ is None and told.value.__suppress_context__
    assert not any(secret in str(told.value) + caplog.text for secret in object_store.ENVIRONMENT.values())


def test_credentials_that_are_refused_later_are_waited_for(bucket: str, line: object_store.Line) -> None:
    store = store_at(bucket, line.endpoint)
    line.answer = "403 Forbidden"
    line.cut()
    with pytest.raises(StoreError, match="403 Forbidden") as told:
        store.keep("default", DIGEST, DATA)
    assert told.value.reason == REFUSED


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        (
            "s3://bucket",
            {"no_such_option": "x"},
            "artifacts: s3:// does not take this url with these options: .*no_such_o",
        ),
        ("s3://bucket", {"client_options": {"none": "x"}}, "does not take .* Invalid key: none"),
        ("s3://bucket", {"allow_http": True}, "such as allow_http, stand under client_options"),
        ("s3:///folder", {}, "artifacts: s3:// does not take"),
        ("az://container", {}, "Account must be specified"),
        ("nowhere://x", {}, "artifacts: nowhere:// does not take .*known"),
        ("sftp://host/folder", {}, "artifacts.url: sftp:// is not served by this image"),
        ("file:///no/such/folder", {}, "artifacts.url: the store refuses .No such folder.; check that"),
    ],
)
def test_what_can_never_be_stops_the_start_with_its_field_and_its_mend(url: str, options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        opened(ArtifactSettings(url=url, options=options))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "bucket/folder"}, "is no URL; write s3://"),
        ({"url": "s3://"}, "is no URL"),
        ({"url": "simplecache::s3://bucket"}, "is no URL"),
        ({"url": "https://host/folder"}, "https:// cannot be written to; take s3://"),
        ({"url": "memory://x"}, "is gone with the process"),
        ({"url": "s3://key:word@bucket"}, "may name a user or a key; give credentials by artifacts.credentialsSecret"),
        ({"url": "az://container?sig=x"}, "may name a user or a key"),
        ({"url": "s3://b", "options": {"aws_secret_access_key": "x"}}, "aws_secret_access_key is a secret"),
        ({"url": "s3://b", "options": {"client_options": {"a": {"Authorization": "x"}}}}, "Authorization is a secret"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_mend(settings: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ArtifactSettings.model_validate(settings)


def test_an_operator_with_a_store_that_cannot_be_ends_at_once_with_one_line(tmp_path: Path) -> None:
    """Before it asks for a lease, and so for a cluster."""
    images = {str(kind): {"repository": "box"} for kind in BoxKind}
    settings = {"boxes": {"images": images}, "artifacts": {"url": "file:///no/such/folder"}}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "fedwright_operator.cluster", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "artifacts.url: the store refuses (No such folder); check that the bucket or folder is there"
    )


def test_without_a_url_there_is_no_store() -> None:
    assert opened(ArtifactSettings()) is None
