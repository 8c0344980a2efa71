"""The model gateway as a program: reads profiles, keys and the secret, listens, says where, ends with its parent."""

import argparse
import fcntl
import json
import logging
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from fedwright_agents.gateway import replay
from fedwright_agents.gateway.app import application
from fedwright_agents.gateway.call import Answerer, Answerers
from fedwright_agents.gateway.keys import MissingKeyError, read_keys
from fedwright_agents.gateway.ledger import Ledger
from fedwright_agents.gateway.purse import Purse
from fedwright_agents.gateway.redaction import RedactingFormatter, Redactor, secrets_of, spellings
from fedwright_agents.gateway.service import Service
from fedwright_agents.gateway.transcripts import RecordingError, Transcripts
from fedwright_crds.allowance import read_secret
from fedwright_crds.manifests import ManifestError
from fedwright_crds.profiles import Profiles, load_profiles

EXAMPLE = """\
example:
  head -c 32 /dev/urandom | base64 > secret
  python -m fedwright_agents.gateway --profiles profiles.yaml --state gateway --secret-file secret

  # profiles.yaml
  profiles:
  - name: fast
    model: openai/some-model
    apiBase: http://127.0.0.1:8000/v1
    key: {environment: SOME_KEY}
  search:
  - name: web
    provider: some_search
    key: {environment: OTHER_KEY}

prints {"url": "http://127.0.0.1:PORT"} when it listens. Minds call URL/v1/chat/completions and URL/v1/search with
an allowance as bearer.
Transcripts lie in STATE/transcripts; with --replay FOLDER such a folder answers, with no network and no key.
"""

GRACE_SECONDS = 5
"""For calls in flight when it is told to end; what is cut off stays charged whole."""


LOCK_PAUSE = 0.2
"""Seconds between two looks at a state that another gateway has."""


class StartError(Exception):
    """Why it cannot begin, in one line: the thing, the reason, the mend."""


def main(argv: Sequence[str] | None = None) -> int:
    parent = os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    options = _options(argv)
    os.umask(0o077)
    redactor = Redactor(secrets_of(os.environ))
    try:
        profiles = load_profiles(options.profiles)
        secret = _secret(options.secret_file)
        keys = {} if options.replay else read_keys(profiles, options.profiles.parent, os.environ)
        redactor = Redactor([*_spelled(keys.values()), secret.decode(errors="replace"), *secrets_of(os.environ)])
        _log_redacted(redactor)
        answers = _answers(profiles, keys, options.replay)
        lock = _taken(options.state, options.patience)
        ledger = _ledger(options.state / "ledger.sqlite")
        listening = _listen(options.host, options.port)
    except (ManifestError, MissingKeyError, RecordingError, StartError) as problem:
        print(f"gateway: {redactor.text(str(problem))}", file=sys.stderr)
        return 2

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        purse, transcripts = Purse(ledger), Transcripts(options.state / "transcripts", redactor)
        app.state.service = Service(profiles, secret, redactor, purse, transcripts, answers(purse))
        yield

    status = _serve(application(redactor, lifespan), listening, parent)
    ledger.close()
    os.close(lock)
    return status


def _spelled(keys: Iterable[str]) -> list[str]:
    return [spelling for key in keys for spelling in spellings(key)]


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fedwright_agents.gateway",
        description=__doc__,
        epilog=EXAMPLE,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profiles", type=Path, required=True, metavar="FILE", help="the model profiles, YAML")
    parser.add_argument("--state", type=Path, required=True, metavar="FOLDER", help="for the ledger and transcripts")
    parser.add_argument(
        "--secret-file", type=Path, required=True, metavar="FILE", help="what allowances are signed with"
    )
    parser.add_argument("--host", default="127.0.0.1", help="to listen on; default %(default)s")
    parser.add_argument("--port", type=_port, default=0, help="to listen on; default any that is free")
    parser.add_argument(
        "--patience", type=float, default=0, metavar="SECONDS", help="for another to let go of the state; default none"
    )
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="answer from these transcripts alone")
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; give a number from 0 to 65535")
    return int(text)


def _secret(file: Path) -> bytes:
    try:
        return read_secret(file)
    except OSError as problem:
        raise StartError(f"{file}: {problem.strerror}; name a file that holds the secret of the allowances") from None
    except ValueError as problem:
        raise StartError(f"{file}: {problem}") from None


def _taken(folder: Path, patience: float) -> int:
    """The state is one gateway's at a time; whoever dies lets go. Its lock, an open file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise StartError(f"{folder}: {problem.strerror}; name a folder that can be written") from None
    end = time.monotonic() + patience
    while not _locked(lock):
        if time.monotonic() >= end:
            raise StartError(f"{folder} is the state of another gateway that runs; stop it or name another folder")
        time.sleep(LOCK_PAUSE)
    return lock


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as problem:
        raise StartError(
            f"the state cannot be locked: {problem.strerror}; keep it on a file system with locks"
        ) from None
    return True


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as problem:
        # Python adds the address to the kernel's words, which stands there already.
        reason = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror
        raise StartError(f"cannot listen on {host} port {port}: {reason}; choose another --host or --port") from None
    return listening


def _log_redacted(redactor: Redactor) -> None:
    """Every logger's lines, litellm's and uvicorn's too, go out through one formatter that cleans them."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(redactor))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("fedwright_agents").setLevel(logging.INFO)


def _ledger(file: Path) -> Ledger:
    try:
        ledger = Ledger(file)
        ledger.abandon_open()
    except sqlite3.Error as problem:
        raise StartError(f"{file}: {problem}; move it away, and every budget begins anew") from None
    return ledger


def _answers(profiles: Profiles, keys: dict[str, str], recorded: Path | None) -> Callable[[Purse], Answerers]:
    """Where answers come from. What calls providers is imported only where they are called."""
    if recorded is not None:
        shelf = replay.load(recorded)
        return lambda purse: _replaying(replay.Replay(shelf, purse))
    from fedwright_agents.gateway.live import Live
    from fedwright_agents.gateway.provider import Provider, unknown_providers
    from fedwright_agents.gateway.search.engines import Engines, unknown_searches
    from fedwright_agents.gateway.search.live import LiveSearch

    if unknown := unknown_providers(profiles) + unknown_searches(profiles):
        raise StartError("; ".join(unknown))
    return lambda purse: Answerers(
        Live(profiles, Provider(keys), purse), LiveSearch(profiles.search_by_name, Engines(keys), purse)
    )


def _replaying(recorded: Answerer) -> Answerers:
    """The same recordings hold both."""
    return Answerers(recorded, recorded)


def _serve(app: Starlette, listening: socket.socket, parent: int) -> int:
    config = uvicorn.Config(
        app,
        http="h11",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, parent, _url(listening))
    server.run(sockets=[listening])
    return 0 if server.started else 1


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """Says where it listens, and ends when its parent is gone."""

    def __init__(self, config: uvicorn.Config, parent: int, url: str) -> None:
        super().__init__(config)
        self._parent, self._url = parent, url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(json.dumps({"url": self._url}), flush=True)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second. The kernel's own signal on a parent's death is not used: it comes with the end of the thread
        that started us."""
        return os.getppid() != self._parent or await super().on_tick(counter)


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
