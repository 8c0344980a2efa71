"""Liveness that tells the truth: the watches bring what was written, passes end, and the process answers.

The leader writes a pulse and watches it like everything else, so a pulse that does not come back through a watch shows
that it stands still.
"""

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

WATCHES = KOPF, OWN = "kopf", "own"
"""Those of our kinds, and those of the cluster's own."""
LONGEST_SILENCE_SECONDS = 150.0
"""Between two pulses that come through a watch. A silent one is made anew after 100 s."""
LONGEST_PASS_SECONDS = 180.0


class Health:
    """What is known of this process's life. Until it leads it watches nothing and is healthy all the same."""

    def __init__(self, slowest_pass: Callable[[], float] = lambda: 0.0, clock: Callable[[], float] = time.monotonic):
        self.slowest_pass, self._clock = slowest_pass, clock
        self._beats: dict[str, float] = {}
        self._holder = ""
        self.ready = False

    def lead(self, holder: str) -> None:
        """From now on watches must bring what this one writes."""
        self._beats, self._holder = dict.fromkeys(WATCHES, self._clock()), holder

    def beat(self, watch: str, by: str) -> None:
        """A pulse came back through this watch. Whoever else writes one says nothing of this process."""
        if self._beats and by == self._holder:
            self._beats[watch] = self._clock()

    def complaints(self) -> list[str]:
        """Why this process should be started anew; none if it lives."""
        found = []
        for watch, at in self._beats.items():
            if (silent := self._clock() - at) > LONGEST_SILENCE_SECONDS:
                found.append(f"the watch ({watch}) has brought nothing for {silent:.0f} s")
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
