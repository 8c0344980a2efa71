"""A trusted program as a tethered child process, its environment what it is given, its words read by line."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

from fedwright_operator.local import tether

KEPT_LINES = 40
LONGEST_LINE = 64 * 1024


class Child:
    """One running program. It must be started from a thread that lives as long as the process does."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        grace_seconds: float,
        on_line: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Start `python -m program[0] program[1:]`. `on_line` is called from a thread of its own."""
        guard = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(grace_seconds))
        self._process = subprocess.Popen(
            [*guard, sys.executable, "-m", *program],
            cwd=cwd,
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._on_line = on_line
        self._lines: list[str] = []
        self._reader = Thread(target=self._read, name=f"read {program[0]}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """The exit status, or None if it still runs after that time."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(1)
        return code

    def ask_to_end(self) -> None:
        """Ask once; the tether kills what has not ended within the grace time."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def end(self, seconds: float) -> None:
        """Ask, wait, and kill the tether if even that hangs."""
        self.ask_to_end()
        if self.wait(seconds) is None:
            self._process.kill()
            self._process.wait()

    @property
    def last_words(self) -> str:
        return "\n".join(self._lines)

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            while line := pipe.readline(LONGEST_LINE):
                text = line.decode(errors="replace").rstrip("\n")
                self._lines = [*self._lines[1 - KEPT_LINES :], text]
                self._on_line(text)
