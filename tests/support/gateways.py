"""Model gateways as processes of their own, and allowances for them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from fedwright_crds.allowance import Allowance, sign

SECRET = b"a-secret-of-the-tests-0123456789"
START_SECONDS = 240
"""litellm takes seconds to import, many where the machine is busy."""

Json = dict[str, Any]


def allowance(profile: str, **changes: Any) -> Allowance:
    given: Json = {
        "request_uid": f"uid-{profile}",
        "namespace": "default",
        "name": "digits",
        "role": "code",
        "profile": profile,
        "work_id": "code-1",
        "expires_at": int(time.time()) + 3600,
    }
    return Allowance.model_validate(given | changes, strict=False)


def prepare(
    folder: Path, profiles: list[Json], environment: dict[str, str] | None = None, search: list[Json] | None = None
) -> "Place":
    """Files that a gateway is started with."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.yaml").write_text(yaml.safe_dump({"profiles": profiles, "search": search or []}))
    (folder / "secret").write_bytes(SECRET + b"\n")
    return Place(folder, environment or {})


@dataclass
class Place:
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def command(self, *more: str) -> list[str]:
        named = {"--profiles": "profiles.yaml", "--state": "state", "--secret-file": "secret"}
        flags = [part for name, file in named.items() for part in (name, str(self.folder / file))]
        return [sys.executable, "-m", "fedwright_agents.gateway", *flags, *more]

    def spawn(self, *more: str) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            environment = os.environ | {"NO_PROXY": "127.0.0.1,127.0.0.2"} | self.environment
            return subprocess.Popen(self.command(*more), stdout=subprocess.PIPE, stderr=log, text=True, env=environment)

    @contextmanager
    def gateway(self, *more: str) -> Iterator["Gateway"]:
        """One that listens; gone afterwards, whatever the test has done to it."""
        process = self.spawn(*more)
        try:
            yield Gateway(process, _url(process, self.log), self)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def transcripts(self, uid: str) -> list[Json]:
        return [json.loads(file.read_text()) for file in sorted((self.state / "transcripts" / uid).glob("*.json"))]


@dataclass
class Gateway:
    process: subprocess.Popen[str]
    url: str
    place: Place

    def ask(self, holder: Allowance, content: str = "Is it so?", seconds: float = 120, **body: Any) -> httpx.Response:
        given = {"model": holder.profile, "messages": [{"role": "user", "content": content}], **body}
        return self.post(given, sign(holder, SECRET), seconds)

    def search(self, holder: Allowance, query: str = "what is newer", seconds: float = 120) -> httpx.Response:
        return self.post({"query": query}, sign(holder, SECRET), seconds, "/v1/search")

    def post(
        self, body: Json | bytes, bearer: str, seconds: float = 120, path: str = "/v1/chat/completions"
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
        return httpx.post(self.url + path, content=content, headers=headers, timeout=seconds, trust_env=False)

    def get(self, path: str, holder: Allowance) -> Json:
        headers = {"authorization": f"Bearer {sign(holder, SECRET)}"}
        found: Json = httpx.get(self.url + path, headers=headers, timeout=60, trust_env=False).raise_for_status().json()
        return found

    def charged(self, holder: Allowance) -> Json:
        found: Json = self.get("/v1/usage", holder)["request"]["charged"]
        return found


def _url(process: subprocess.Popen[str], log: Path) -> str:
    """The child's first line; a watchdog of the test's own time limit is enough for one that never speaks."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"no gateway: {log.read_text()[-2000:]}"
    return str(json.loads(line)["url"])
