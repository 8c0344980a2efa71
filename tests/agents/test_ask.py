"""How a mind's program ends where there is nobody to ask."""

import json
import socket
from pathlib import Path

import pytest

from fedwright_agents.model_mind import gateway_model
from fedwright_agents.programs import ask
from fedwright_agents.programs import code as program
from fedwright_crds.candidate import Part
from fedwright_crds.documents import CodeInput
from fedwright_crds.request import RequestSpec
from fedwright_crds.work import AWAY


@pytest.fixture
def box(tmp_path: Path, spec: RequestSpec, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("in", "out", "secret"):
        (tmp_path / name).mkdir()
    assert spec.model is not None
    parts = (Part(slot="combiner", name="SignVote"),)
    order = CodeInput(title="M", method="fedavg", parts=parts, hypothesis="h", model=spec.model, task=spec.task)
    (tmp_path / "in" / "code-input.json").write_text(json.dumps(order.to_wire()))
    monkeypatch.setenv("FEDWRIGHT_BOX", str(tmp_path))
    monkeypatch.setattr(gateway_model, "AWAY_SECONDS", 0.3)
    return tmp_path


def test_a_gateway_that_stays_away_is_not_the_works_fault(box: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    (box / "secret" / "gateway.json").write_text(json.dumps({"url": url, "token": "t"}))
    assert program.main(["fast"]) == AWAY
    assert "gateway_away" in capfd.readouterr().err
    assert not list((box / "out").iterdir())


def test_a_box_without_a_gateway_gives_no_answer_however_often_it_is_asked(box: Path) -> None:
    assert program.main(["fast"]) == ask.NO_ANSWER
