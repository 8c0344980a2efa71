"""The gateway as a program: what it says when it cannot begin, and how it ends."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from gateways import Place, allowance, prepare
from scripted_provider import ScriptedProvider, hang

from fedwright_crds.allowance import Role
from fedwright_crds.transcript import Charge, Transcript, Usage, call_digest

ASKED = {"messages": [{"role": "user", "content": "Is it so?"}]}
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
}
FAST = {"name": "fast", "model": "openai/m", "apiBase": "http://127.0.0.1:9/v1"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """With one recording, so that a gateway needs no provider's client, which takes seconds to import."""
    transcript = Transcript(
        number=1,
        digest=call_digest(Role.CODE, "fast", ASKED),
        request_uid="r",
        namespace="default",
        name="digits",
        role=Role.CODE,
        work_id="w",
        profile="fast",
        date="2026-01-01T00:00:00+00:00",
        asked=ASKED,
        answer=ANSWER,
        attempts=(),
        charged=Charge(tokens=5, calls=1),
        cost_usd=0.0,
        latency_seconds=0.1,
    )
    file = tmp_path / "recorded" / "r" / "000001-code.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(transcript.to_wire()))
    return prepare(tmp_path, [FAST])


def replaying(place: Place) -> tuple[str, str]:
    return "--replay", str(place.folder / "recorded")


def refused(place: Place, *more: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        place.command(*more), capture_output=True, text=True, timeout=240, env=environment or dict(os.environ)
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gateway: ")
    (line,) = done.stderr.splitlines()
    return line.removeprefix("gateway: ").replace(str(place.folder), "")


def test_help_has_an_example() -> None:
    command = [sys.executable, "-m", "fedwright_agents.gateway", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "python -m fedwright_agents.gateway --profiles profiles.yaml --state gateway --secret-file secret" in said


def test_a_key_that_is_not_there_is_named_by_profile_and_place(tmp_path: Path) -> None:
    keys = {"environment": "NOT_SET_HERE"}
    assert refused(prepare(tmp_path, [FAST | {"key": keys}])) == (
        "profile fast: the key is missing: the environment variable NOT_SET_HERE is not set or empty; set it"
    )
    assert refused(prepare(tmp_path, [FAST | {"key": {"file": "some.key"}}])) == (
        "profile fast: the key cannot be read from the file some.key: No such file or directory"
    )


def test_a_key_with_a_line_break_is_none_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "some.key").write_text("sentinel\nkey")
    line = refused(prepare(tmp_path, [FAST | {"key": {"file": "some.key"}}]))
    assert line == "profile fast: what the file some.key holds is no key; it has white space or more"


def test_bad_profiles_are_told_in_their_line(tmp_path: Path) -> None:
    line = refused(prepare(tmp_path, [FAST | {"retries": 99}]))
    assert line == "/profiles.yaml, line 5: profiles[0].retries is 99; give a whole number from 0 to 10"


def test_a_provider_that_litellm_does_not_know_is_refused_at_once(tmp_path: Path) -> None:
    line = refused(prepare(tmp_path, [FAST | {"model": "nowhere/m"}]))
    assert line.startswith(
        "profile fast: model is nowhere/m, and nowhere is no provider that litellm knows; write openai/"
    )


def test_a_secret_that_is_missing_or_short_is_refused(place: Place) -> None:
    secret = place.folder / "secret"
    secret.write_text("short")
    assert refused(place) == "/secret: the secret has 5 bytes; give at least 16 random ones"
    secret.unlink()
    assert refused(place) == "/secret: No such file or directory; name a file that holds the secret of the allowances"


def test_recordings_that_are_not_there_are_refused(place: Place) -> None:
    assert refused(place, "--replay", str(place.folder / "nowhere")).startswith("/nowhere is no folder; name one")
    (place.folder / "empty").mkdir()
    assert refused(place, "--replay", str(place.folder / "empty")).startswith(
        "/empty holds no recording; name a folder"
    )


def test_a_port_that_is_taken_is_refused(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused(place, *replaying(place), "--port", port)
    assert line == f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another --host or --port"


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_a_port_that_is_none_is_refused(port: str, place: Place) -> None:
    done = subprocess.run(place.command(f"--port={port}"), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.endswith(f"argument --port: {port} is no port; give a number from 0 to 65535\n")


def test_a_ledger_of_another_kind_is_refused(place: Place) -> None:
    place.state.mkdir()
    (place.state / "ledger.sqlite").write_text("this is no ledger at all, whatever the name says\n" * 50)
    line = refused(place, *replaying(place))
    assert line == "/state/ledger.sqlite: file is not a database; move it away, and every budget begins anew"


def test_a_state_is_one_gateways_at_a_time(place: Place) -> None:
    with place.gateway(*replaying(place)):
        line = refused(place, *replaying(place))
        assert line == "/state is the state of another gateway that runs; stop it or name another folder"
    with place.gateway(*replaying(place)) as after:
        assert after.ask(allowance("fast")).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(number: signal.Signals, place: Place) -> None:
    with place.gateway(*replaying(place)) as gateway:
        assert gateway.ask(allowance("fast")).json() == ANSWER
        gateway.process.send_signal(number)
        assert gateway.process.wait(60) == 0
    assert "Traceback" not in place.log.read_text()


def test_only_its_owner_reads_what_it_keeps(place: Place) -> None:
    with place.gateway(*replaying(place)) as gateway:
        gateway.ask(allowance("fast"))
    kept = [file for file in place.state.rglob("*") if file.is_file()]
    assert len(kept) >= 3
    assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in kept} == {0}


def test_whoever_asks_what_a_request_has_cost_is_told_it_by_role_whatever_became_of_the_profile(place: Place) -> None:
    asks = {"profile": "gone-since", "request_uid": "uid-fast", "request_limits": {"calls": 0}}
    with place.gateway(*replaying(place)) as gateway:
        gateway.ask(allowance("fast"))
        usage = Usage.model_validate_json(json.dumps(gateway.get("/v1/usage", allowance(**asks))))
        other = gateway.get("/v1/usage", allowance(**(asks | {"request_uid": "another"})))
        assert gateway.ask(allowance(**asks)).json()["error"]["code"] == "unknown_profile"
    assert usage.roles == {Role.CODE: Charge(tokens=5, calls=1)}
    assert usage.request.charged == usage.role.charged == usage.roles[Role.CODE]
    assert usage.request.limits.calls == 0
    assert other["roles"] == {} and other["request"]["charged"]["calls"] == 0


def test_it_ends_with_its_parent(place: Place) -> None:
    parent = (
        "import subprocess, sys, time\n"
        "gateway = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
        "print(gateway.stdout.readline(), gateway.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", parent, *place.command(*replaying(place))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        url, pid = json.loads(process.stdout.readline())["url"], int(process.stdout.readline())
        assert httpx.get(f"{url}/healthz").status_code == 200
        process.kill()
    for _ in range(600):
        if not _runs(pid):
            break
        time.sleep(0.1)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_call_that_it_is_ended_in_stays_charged_whole(provider: ScriptedProvider, tmp_path: Path) -> None:
    provider.scripts["m"] = hang
    holder = allowance("fast", request_limits={"tokens": 10_000})
    place = prepare(tmp_path, [FAST | {"apiBase": provider.url, "timeoutSeconds": 100}])
    with place.gateway() as gateway:
        with pytest.raises(httpx.ReadTimeout):
            gateway.ask(holder, max_tokens=100, seconds=1.5)
        assert len(provider.asked("m")) == 1
        gateway.process.terminate()
        assert gateway.process.wait(60) == 0
    with place.gateway() as again:
        assert again.charged(holder)["tokens"] > 600
        small = allowance("fast", request_limits={"tokens": 1200})
        assert again.ask(small, max_tokens=100).json()["error"]["code"] == "budget_exhausted"
