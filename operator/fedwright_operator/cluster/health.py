"""Liveness that tells the truth: the watches bring what was written, passes end, and the process answers.

The leader writes a pulse and watches it like everything else, so a pulse that does not come back through the watch shows
that watches stand still.
"""

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

LONGEST_SILENCE_SECONDS = 90.0
"""Between two pulses that come through the watch. Kopf itself reconnects a silent watch after 70 s."""
LONGEST_PASS_SECONDS = 180.0


class Health:
    """What is known of this process's life. Until it leads it watches nothing and is healthy all the same."""

    def __init__(self, slowest_pass: Callable[[], float] = lambda: 0.0, clock: Callable[[], float] = time.monotonic):
        self.slowest_pass, self._clock = slowest_pass, clock
        self._beat: float | None = None
        self._holder = ""
        self.ready = False

    def lead(self, holder: str) -> None:
        """From now on watches must bring what this one writes."""
        self._beat, self._holder = self._clock(), holder

    def beat(self, by: str) -> None:
        """A pulse came back through the watch. Whoever else writes one says nothing of this process."""
        if self._beat is not None and by == self._holder:
            self._beat = self._clock()

    def complaints(self) -> list[str]:
        """Why this process should be started anew; none if it lives."""
        found = []
        if self._beat is not None and (silent := self._clock() - self._beat) > LONGEST_SILENCE_SECONDS:
            found.append(f"the watches have brought nothing for {silent:.0f} s")
        if (slow := self.slowest_pass()) > LONGEST_PASS_SECONDS:
            found.append(f"a pass has waited or run for {slow:.0f} s")
        return found


def serve(health: Health, port: int, host: str = "") -> ThreadingHTTPServer:
    """Answer /healthz and /readyz, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            complaints = health.complaints() if self.path == "/healthz" else [] if health.ready else ["starting"]
            known = self.path in {"/healthz", "/readyz"}
            body = json.dumps({"ok": not complaints, "complaints": complaints}).encode()
            self.send_response(404 if not known else 503 if complaints else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds and are no news."""

    server = ThreadingHTTPServer((host, port), Handler)
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
