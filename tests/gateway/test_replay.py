"""Replay: what was recorded is answered again with no network and no key, and nothing else is."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateways import Gateway, Place, allowance, prepare
from scripted_provider import ScriptedProvider, answer, first, refuse

KEY = "sentinel-key-0123456789"


def profiles(provider: ScriptedProvider) -> list[dict[str, object]]:
    usual = {"apiBase": provider.url, "timeoutSeconds": 20, "retries": 0}
    price = {"inputUsd": 1.0, "outputUsd": 2.0}
    return [usual | {"name": name, "model": f"openai/{name}", "price": price} for name in ("fast", "flaky")]


@pytest.fixture(scope="module")
def recorded(provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two roles, a question asked three times, a fault and its success."""
    provider.scripts["fast"] = first(*(answer(f"answer {number}") for number in range(9)))
    provider.scripts["flaky"] = first(refuse(500), answer("at last"))
    place = prepare(tmp_path_factory.mktemp("recorded"), profiles(provider))
    with place.gateway() as gateway:
        for content in ("same", "same", "other", "same"):
            gateway.ask(allowance("fast", request_uid="first"), content, max_tokens=10)
        for _ in range(2):
            gateway.ask(allowance("flaky", request_uid="first", role="plan"), "odd", max_tokens=10)
    return place


@pytest.fixture(scope="module")
def replay(recorded: Place, provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With another port behind the profiles, where nothing listens."""
    gone = [one | {"apiBase": "http://127.0.0.1:9/v1", "key": {"environment": "NOWHERE"}} for one in profiles(provider)]
    place = prepare(tmp_path_factory.mktemp("replay"), gone)
    with place.gateway("--replay", str(recorded.state / "transcripts")) as gateway:
        yield gateway


def said(gateway: Gateway, content: str, uid: str) -> str:
    response = gateway.ask(allowance("fast", request_uid=uid, work_id="another", candidate="b"), content, max_tokens=10)
    return str(response.json()["choices"][0]["message"]["content"])


def test_the_same_question_gets_its_answers_in_order_and_the_last_again(replay: Gateway) -> None:
    assert [said(replay, "same", "a") for _ in range(4)] == ["answer 0", "answer 1", "answer 3", "answer 3"]
    assert said(replay, "other", "a") == "answer 2"
    assert said(replay, "same", "b") == "answer 0", "another request begins with the first"


def test_a_fault_is_replayed_as_it_was(replay: Gateway) -> None:
    holder = allowance("flaky", request_uid="c", role="plan")
    problem, answered = (replay.ask(holder, "odd", max_tokens=10) for _ in range(2))
    assert problem.status_code == 502
    assert problem.json()["error"]["message"].endswith(": HTTP 500: boom")
    assert answered.json()["choices"][0]["message"]["content"] == "at last"


@pytest.mark.parametrize(
    "changes",
    [{"content": "samE"}, {"temperature": 0.1}, {"role": "debug"}, {"max_tokens": 11}, {"seed": 1}],
    ids=lambda one: next(iter(one)),
)
def test_what_differs_in_anything_that_is_asked_is_not_recorded(changes: dict[str, object], replay: Gateway) -> None:
    role = changes.pop("role", "code")
    holder = allowance("fast", request_uid="d", role=role)
    response = replay.ask(holder, **({"content": "same", "max_tokens": 10} | changes))  # type: ignore[arg-type]
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (424, "not_recorded")
    assert error["message"].startswith(f"not recorded: {role} sha256:")
    assert replay.charged(holder)["tokens"] == 0
    assert replay.place.transcripts("d")[-1]["digest"] in error["message"]


def test_a_replay_is_charged_and_written_down_like_the_run(replay: Gateway, recorded: Place) -> None:
    holder = allowance("fast", request_uid="e", work_id="another")
    replay.ask(holder, "other", max_tokens=10)
    (again,) = replay.place.transcripts("e")
    once = next(one for one in recorded.transcripts("first") if one["asked"] == again["asked"])
    same = ("digest", "answer", "attempts", "charged", "costUsd", "date", "model", "endpoint", "answeredBy", "profile")
    assert {name: once[name] for name in same} == {name: again[name] for name in same}
    assert (once["replayed"], again["replayed"]) == (False, True)
    assert replay.charged(holder) == once["charged"]
    assert once["costUsd"] > 0


def test_a_replay_keeps_within_the_budget(replay: Gateway) -> None:
    holder = allowance("fast", request_uid="f", request_limits={"tokens": 5})
    assert replay.ask(holder, "same", max_tokens=10).json()["error"]["code"] == "budget_exhausted"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one["asked"]["messages"][0].update(content="edited"), "digest is not that of what was asked"),
        (lambda one: one.pop("workId"), "workId: Field required; record the call again"),
        (lambda one: one.update(role="cook"), "role: Input should be 'plan', 'code', 'debug', 'reflect' or 'review'"),
    ],
)
def test_a_recording_that_was_edited_is_refused(change: object, message: str, recorded: Place, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(recorded.state / "transcripts", folder)
    file = folder / "first" / "000003-code.json"
    transcript = json.loads(file.read_text())
    change(transcript)  # type: ignore[operator]
    file.write_text(json.dumps(transcript))
    done = subprocess.run(recorded.command("--replay", str(folder)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith(f"gateway: {file}: {message}")
