"""One container sees the end of the process in another, however it comes."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedwright_federation.flower.pod.presence import Watch, announce


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def other(lock: Path) -> Iterator[int]:
    """A process that announces itself and sleeps."""
    watch = Watch(lock)
    assert not watch.lost()
    pid = os.fork()
    if not pid:
        announce(lock)
        time.sleep(60)
        os._exit(0)
    while not watch._held():
        time.sleep(0.01)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_who_was_never_there_is_not_lost(lock: Path) -> None:
    watch = Watch(lock)
    assert not watch.lost() and not watch.lost()


def test_its_end_is_seen_once(lock: Path, other: int) -> None:
    watch = Watch(lock)
    assert not watch.lost()
    os.kill(other, signal.SIGKILL)
    os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
    assert watch.lost() and not watch.lost()


def test_the_next_one_is_watched_too(lock: Path, other: int) -> None:
    watch = Watch(lock)
    assert not watch.lost()
    os.kill(other, signal.SIGKILL)
    os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
    assert watch.lost()
    descriptor = announce(lock)
    assert not watch.lost()
    os.close(descriptor)
    assert watch.lost()
