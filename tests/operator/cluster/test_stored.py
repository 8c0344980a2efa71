"""Artifacts in a folder: whole or not there, checked, and each namespace's own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from fedwright_crds.base import digest_of
from fedwright_operator.cluster.folders import Folder
from fedwright_operator.cluster.stored import AWAY, PAUSE_SECONDS, REFUSED, WRONG, Store, StoreError, error_of

DATA = os.urandom(3_000_000)
DIGEST = digest_of(DATA)
WRITER = """
import os, sys, time
import fsspec
from fedwright_crds.base import digest_of
from fedwright_operator.cluster.folders import Folder
from fedwright_operator.cluster.stored import Store
def stand_still(_):
    print("written", flush=True)
    time.sleep(600)
os.fsync = stand_still
data = b"a" * 8_000_000
Store(Folder(fsspec.filesystem("file"), sys.argv[1])).keep("default", digest_of(data), data)
"""


@pytest.fixture(params=["file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    files, root = fsspec.filesystem(request.param), str(tmp_path)
    files.makedirs(root, exist_ok=True)
    yield Folder(files, root)
    if request.param == "memory":
        files.rm(root, recursive=True)


def on_disk(root: Path) -> Store:
    return Store(Folder(fsspec.filesystem("file"), str(root)))


def content(store: Store, namespace: str = "default") -> bytes:
    return b"".join(store.pieces(namespace, DIGEST, len(DATA)))


def test_what_is_kept_is_read_and_has_its_namespace_and_digest_as_its_name(folder: Folder) -> None:
    store = Store(folder)
    store.keep("default", DIGEST, DATA)
    assert content(store) == DATA
    assert list(store.names()) == [f"default/{DIGEST.removeprefix('sha256:')}"]


def test_who_names_anothers_digest_finds_nothing_in_his_own_namespace(folder: Folder) -> None:
    store = Store(folder)
    store.keep("default", DIGEST, DATA)
    with pytest.raises(KeyError, match=r"the object other/.* is not below artifacts.url any more"):
        content(store, "other")


def test_what_is_removed_is_gone_and_may_go_twice(folder: Folder) -> None:
    store = Store(folder)
    store.keep("default", DIGEST, DATA)
    (name,) = store.names()
    store.remove(name)
    store.remove(name)
    assert not list(store.names())


@pytest.mark.parametrize(
    "wrong", [b"", DATA[:-1], DATA + b"x", b"y" + DATA[1:]], ids=["empty", "cut", "longer", "other"]
)
def test_a_wrong_object_is_neither_read_nor_overwritten_and_is_named(tmp_path: Path, wrong: bytes) -> None:
    store = on_disk(tmp_path)
    store.keep("default", DIGEST, DATA)
    path = tmp_path / next(store.names())
    path.write_bytes(wrong)
    with pytest.raises(
        KeyError, match=rf"default/{path.name} below artifacts.url is not what its name says; delete it"
    ):
        content(store)
    with pytest.raises(StoreError, match="delete it") as told:
        store.keep("default", DIGEST, DATA)
    assert told.value.reason == WRONG
    assert path.read_bytes() == wrong
    path.unlink()
    store.keep("default", DIGEST, DATA)
    assert content(store) == DATA


def test_of_many_writers_at_once_each_finds_it_whole(tmp_path: Path) -> None:
    """Each has a store of its own, as two operators have around a takeover."""

    def write(_: int) -> bytes:
        store = on_disk(tmp_path)
        store.keep("default", DIGEST, DATA)
        return content(store)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(24))) == {DATA}
    assert len(list(tmp_path.rglob("*"))) == 2, "the namespace's folder and the object"


def test_a_writer_that_is_killed_leaves_nothing_under_the_digests_name(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout and writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    store = on_disk(tmp_path)
    (left,) = store.names()
    assert left.startswith("default/."), "what is unfinished has another name"
    data = b"a" * 8_000_000
    store.keep("default", digest_of(data), data)
    assert b"".join(store.pieces("default", digest_of(data), len(data))) == data


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """It may be a volume that is not mounted."""
    store = on_disk(tmp_path / "away")
    for act in (store.probe, lambda: store.keep("default", DIGEST, DATA)):
        with pytest.raises(StoreError, match=r"No such folder.*check that the bucket or folder is there") as told:
            act()
        assert told.value.reason == REFUSED
    assert not list(tmp_path.iterdir())


def test_an_object_of_a_volume_that_went_is_not_taken_for_lost(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    root.mkdir()
    store = on_disk(root)
    store.keep("default", DIGEST, DATA)
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="No such folder"):
        content(store)


class Broken:
    """A store that fails, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def probe(self) -> None:
        self.asked += 1
        raise TimeoutError("with a secret")


def test_a_store_that_has_failed_is_left_alone_for_a_while() -> None:
    broken, at = Broken(), [0.0]
    store = Store(broken, lambda: at[0])  # type: ignore[arg-type]
    for seconds, asked in ((0.0, 1), (PAUSE_SECONDS / 2, 1), (PAUSE_SECONDS, 2)):
        at[0] = seconds
        with pytest.raises(StoreError) as told:
            store.probe()
        assert (told.value.reason, broken.asked) == (AWAY, asked)
        assert "secret" not in str(told.value)


def test_what_is_refused_to_one_holds_up_no_other(tmp_path: Path) -> None:
    files = fsspec.filesystem("file", skip_instance_cache=True)
    store, makes = Store(Folder(files, str(tmp_path))), files.makedirs

    def refuse(path: str, exist_ok: bool = False) -> None:
        if path.endswith("/lab"):
            raise PermissionError(13, "Permission denied", path)
        makes(path, exist_ok=exist_ok)

    files.makedirs = refuse
    with pytest.raises(StoreError, match="Permission denied") as told:
        store.keep("lab", DIGEST, DATA)
    assert told.value.reason == REFUSED
    store.keep("default", DIGEST, DATA)
    assert content(store) == DATA


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (
            "status code: 403 Forbidden: <Error><Code>InvalidAccessKeyId</Code><Key>private",
            REFUSED,
            "403 Forbidden, Inv",
        ),
        ("status code: 404 Not Found: <Error><Code>NoSuchBucket</Code>private", REFUSED, "NoSuchBucket"),
        ("status code: 503 Service Unavailable: private", AWAY, "503 Service Unavailable"),
        ("status code: 429 Too Many Requests: private", AWAY, "429"),
        ("HTTP error: error sending request for private", AWAY, "no answer"),
        ("private", AWAY, "RuntimeError"),
    ],
)
def test_a_failure_is_told_by_its_status_and_quotes_nothing(said: str, reason: str, words: str) -> None:
    error = error_of(RuntimeError(said))
    assert error.reason == reason
    assert words in str(error) and "private" not in str(error)


def test_removing_waits_for_whoever_holds_the_digest(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        with store.alone(DIGEST):
            other = pool.submit(lambda: store.alone(DIGEST).__enter__())
            time.sleep(0.1)
            assert not other.done()
        assert other.result(5)
