"""Where a node computes, and that a round ends also where its GPU does not serve."""

import json

import pytest
import torch

from fedwright_federation.packaging.fedwright_app.device import CPU, DeviceError, device_of, somewhere

ELSEWHERE = torch.device("meta")


def test_a_node_computes_on_its_cpu_unless_it_is_told() -> None:
    assert device_of({}) == CPU == device_of({"device": "cpu"})


def test_an_unknown_device_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(DeviceError, match="'tpu' in the node config is none of cpu, cuda"):
        device_of({"device": "tpu"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_before_any_round() -> None:
    with pytest.raises(DeviceError, match="sees no GPU; give the node one and a PyTorch that is built for it"):
        device_of({"device": "cuda"})


def test_what_fails_on_a_gpu_is_done_on_the_cpu_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    def without_values(device: torch.device) -> float:
        """As code that was written for the CPU."""
        return float(torch.ones(3, device=device).numpy().sum())

    assert somewhere(ELSEWHERE, without_values) == 3.0
    said = json.loads(capsys.readouterr().out)
    assert (said["event"], said["device"]) == ("device-refused", "meta") and "TypeError" in said["why"]


def test_what_fails_on_the_cpu_fails(capsys: pytest.CaptureFixture[str]) -> None:
    tried: list[str] = []

    def wrong(device: torch.device) -> None:
        tried.append(device.type)
        raise ValueError("wrong wherever it runs")

    with pytest.raises(ValueError, match="wherever"):
        somewhere(CPU, wrong)
    assert tried == ["cpu"] and not capsys.readouterr().out
