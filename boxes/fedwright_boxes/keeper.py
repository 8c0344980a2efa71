"""The keeper's side of a zygote: starts it and asks it for cells. What becomes of a cell is seen in `watch`."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from fedwright_boxes import bubblewrap
from fedwright_boxes.profiles import BASE_ENVIRONMENT, Profile
from fedwright_boxes.protocol import Enclosure, Item, Sight

START_SECONDS = 180.0
_ANSWER_SECONDS = 30.0
_BOOT = "import sys; sys.path[:] = [p for p in sys.path if p] + {path!r}; from fedwright_boxes.zygote import main; main({fd}, {proc})"


class ZygoteError(Exception):
    """It could not start, or it died; the message says why."""


class Zygote:
    """One warm process for one kind of box. `start` it once; `spawn` may be called from any thread.

    The kernel ends it with the thread that made it, so that thread is its own and lives as long as it does.
    """

    def __init__(self, profile: Profile, program: Path | None, sight: Sight | None = None) -> None:
        """`program` is bubblewrap; `sight` is what cells read where a container stands around all of them.

        With neither there are no walls.
        """
        self.profile = profile
        self.enclosure = Enclosure.NAMESPACES if program else Enclosure.CONTAINER if sight else Enclosure.NONE
        self._sight = sight
        self.inherited_bytes = 0
        """Most of the zygote's own memory that a cell's proportional share can hold."""
        self._program = program
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._stop = threading.Event()
        self._failure = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._guardian = threading.Thread(target=self._guard, name=f"zygote-{profile.kind}", daemon=True)
        self._guardian.start()

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Also while it starts."""
        return not self._failure and not self._stop.is_set() and self._guardian.is_alive()

    def wait_started(self, seconds: float) -> bool:
        """Whether it has come up; raises `ZygoteError` if it could not."""
        up = self._started.wait(seconds)
        if up and self._failure:
            raise ZygoteError(self._failure)
        return up

    def spawn(self, item: Item, descriptors: list[int]) -> int:
        """A handle (pidfd) on a new cell, which waits for its go. Closes none of `descriptors`."""
        message = json.dumps(asdict(item)).encode()
        with self._lock:
            connection = self._connection
            if connection is None:
                raise ZygoteError(self._failure or "closed")
            try:
                socket.send_fds(connection, [message], descriptors)
                answer, handles, _, _ = socket.recv_fds(connection, 16, 1)
            except OSError as error:
                self._hang_up(f"it does not answer: {error}")
                raise ZygoteError(self._failure) from error
            if not answer or not handles:
                self._hang_up("it died")
                raise ZygoteError(self._failure)
        return handles[0]

    def close(self) -> None:
        """Ends it and every cell of it at once."""
        self._stop.set()
        with self._lock:
            self._hang_up("closed")
        self._guardian.join()

    def _hang_up(self, reason: str) -> None:
        self._failure = self._failure or reason
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _guard(self) -> None:
        try:
            with tempfile.TemporaryFile() as said:
                self._come_up(said.fileno())
                self._started.set()
                self._wait()
        except OSError as error:
            self._failure = self._failure or f"it did not start: {error}"
        finally:
            self._failure = self._failure or "it died"
            self._started.set()

    def _come_up(self, said: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = self._launch(theirs, said)
            if self._stop.is_set():
                self._process.kill()
            self._greet(ours)
        except OSError as error:
            self._failure = self._failure or f"it did not start: {error}{_last_lines(said)}"
            ours.close()

    def _wait(self) -> None:
        if self._process is None:
            return
        if self._failure:
            self._process.kill()
        self._process.wait()
        if not self._failure:
            with self._lock:
                self._hang_up("it died")

    def _launch(self, theirs: socket.socket, said: int) -> subprocess.Popen[bytes]:
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
        try:
            boot = _BOOT.format(path=self._module_path(), fd=theirs.fileno(), proc=proc)
            return subprocess.Popen(
                [*self._command(), "-c", boot],
                env=BASE_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=[theirs.fileno(), proc],
                start_new_session=True,
            )
        finally:
            os.close(proc)

    def _command(self) -> list[str]:
        if self._program is None:
            return [sys.executable, "-s", "-P", "-B"]
        return bubblewrap.command(self._program, self.profile)

    def _module_path(self) -> list[str]:
        if self._program is None:
            return [*(str(path.resolve()) for path in self.profile.code), str(Path(__file__).resolve().parents[1])]
        return bubblewrap.module_path(self.profile)

    def _greet(self, connection: socket.socket) -> None:
        connection.settimeout(START_SECONDS)
        settings = {
            "enclosure": self.enclosure,
            "sight": asdict(self._sight) if self._sight else None,
            "as_root": os.geteuid() == 0,
            "network": self.profile.network,
            "hostile": self.profile.hostile,
            "imports": self.profile.imports,
            "programs": self.profile.programs,
            "environment": {**BASE_ENVIRONMENT, **self.profile.environment},
        }
        connection.send(json.dumps(settings).encode())
        answer = connection.recv(64)
        if not answer:
            raise OSError("it ended while it imported")
        self.inherited_bytes = json.loads(answer)["inheritedBytes"]
        connection.settimeout(_ANSWER_SECONDS)
        with self._lock:
            if self._stop.is_set():
                raise OSError("closed")
            self._connection = connection


def _last_lines(file: int) -> str:
    size = os.fstat(file).st_size
    said = os.pread(file, 2000, max(0, size - 2000)).decode("ascii", "replace")
    return "".join(f": {line.strip()}" for line in said.splitlines()[-3:])
