"""What a zygote does once so that no cell pays for it: lazy imports and first calls of the numerical libraries.

Nothing here may start a thread: a fork copies locks, not threads. So no backward pass, whose engine starts some.
"""

import importlib
from collections.abc import Iterable

_LAZY = {
    "numpy": ("numpy.random", "numpy.linalg", "numpy.ma", "numpy.fft"),
}
_STANDARD = ("traceback", "tempfile", "json", "csv", "logging", "dataclasses", "statistics", "io", "zipfile")


def import_all(required: Iterable[str], programs: Iterable[str]) -> None:
    """Import `required` and what they import lazily; a program that cannot be imported fails when it is run."""
    for name in _STANDARD:
        importlib.import_module(name)
    for name in required:
        importlib.import_module(name)
        for lazy in _LAZY.get(name, ()):
            importlib.import_module(lazy)
        if name == "torch":
            _touch_torch()
    for name in programs:
        try:
            importlib.import_module(name)
        except Exception:
            continue


def _touch_torch() -> None:
    """A small forward pass. Optimizers and torch.func are left out: they load the compiler, 75 MB and 0.9 s."""
    import torch

    torch.set_num_threads(1)
    with torch.no_grad():
        images = torch.zeros(2, 1, 4, 4)
        hidden = torch.nn.functional.conv2d(images, torch.zeros(3, 1, 3, 3)).relu().flatten(1)
        torch.nn.functional.cross_entropy(hidden @ torch.zeros(12, 2), torch.tensor([0, 1]))
