"""Where a node computes: on its CPU, or on its GPU where the node config says `device` is cuda."""

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from fedwright_federation.simulation.client import CPU

from .logs import log

Answer = TypeVar("Answer")


class DeviceError(RuntimeError):
    """The node is to compute where it cannot."""


def device_of(config: Mapping[str, object]) -> torch.device:
    """The node's device, ready to give equal results in equal runs. Raises DeviceError if it is not there."""
    name = str(config.get("device", CPU))
    if name == "cpu":
        return CPU
    if name != "cuda":
        raise DeviceError(f"device {name!r} in the node config is none of cpu, cuda")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"device cuda is not there: PyTorch {torch.__version__} sees no GPU; give the node one and a PyTorch that is "
            "built for it, or say device='cpu'"
        )
    _repeat_exactly()
    return torch.device("cuda")


def somewhere(device: torch.device, work: Callable[[torch.device], Answer]) -> Answer:
    """What `work` gives there; what it gives on the CPU where it fails there.

    A strategy may be written for the CPU alone, a GPU may be too small for it, and not all that runs on one repeats exactly:
    what is a matter of speed ends no round.
    """
    if device == CPU:
        return work(CPU)
    try:
        return work(device)
    except Exception as problem:
        log("device-refused", device=str(device), why=f"{type(problem).__name__}: {problem}"[:500])
        return work(CPU)


def _repeat_exactly() -> None:
    """A round that is done again, after a crash, must give the same bytes; and float32 means float32, as on the CPU."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
