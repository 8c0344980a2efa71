"""A language model that plays all five roles by a script, over HTTP: what it writes is code that no catalogue has.

It tells roles apart by the prompts' own words, as any model must.
"""

import json
import re

from scripted_provider import Handler, Json, answer

CONTROL = '''"""SCAFFOLD's control variates, written anew (Karimireddy et al. 2020, algorithm 1, option II)."""

from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import ClientState, GradientTerm, ServerOptimizer


@dataclass(frozen=True)
class Correct(GradientTerm):
    cohort = True

    def __call__(self, step):
        server, own = step.published["c"], step.state["c"]
        return {key: server[key] - own[key] for key in step.trained if key in own}


@dataclass(frozen=True)
class OwnGradient(ClientState):
    @property
    def payloads(self):
        return {"c": "sum"}

    def begin(self, start, round):
        return {"c": {key: np.zeros_like(start.weights[key]) for key in sorted(start.shared)}}

    def update(self, state, start, published, outcome, round):
        own, server = state["c"], published["c"]
        inverse = np.float32(1.0 / outcome.travel)
        new = {key: own[key] - server[key] - inverse * outcome.update[key] for key in own}
        return {"c": new}, {"c": {key: new[key] - own[key] for key in new}}


@dataclass(frozen=True)
class KeepControl(ServerOptimizer):
    lr: float = 1.0

    def start(self, x, shared):
        return {"c": {key: np.zeros_like(x[key]) for key in sorted(shared)}}

    def publish(self, state):
        return {"c": state["c"]}

    def step(self, x, aggregate, state, round):
        moved = {key: x[key] + np.float32(self.lr) * aggregate.update[key] for key in x}
        sent = aggregate.reduced["c"]
        control = {key: state["c"][key] + sent[key] / np.float32(aggregate.population) for key in state["c"]}
        return moved, {"c": control}
'''
STRATEGY = '''"""Control variates of one's own."""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.weighting import Uniform

from .control import Correct, KeepControl, OwnGradient


def build(hyperparameters):
    lr = float(hyperparameters.get("lr", 0.1))
    return Strategy(
        name="Own control",
        gradients=(Correct(),),
        local=Sgd(lr=lr),
        states=(OwnGradient(),),
        weighting=Uniform(),
        server=KeepControl(),
        hyperparameters={"lr": lr},
    )
'''
TESTS = """from .strategy import build


def test_it_takes_the_step_size():
    assert build({"lr": 0.5}).local.lr == 0.5
"""
BROKEN = CONTROL.replace('aggregate.reduced["c"]', 'aggregate.reduced["control"]')
"""A first draft that looks for a payload by a name that nobody sent."""
MENDED = """control.py
<<<<<<< SEARCH
        sent = aggregate.reduced["control"]
=======
        sent = aggregate.reduced["c"]
>>>>>>> REPLACE
"""
OWN_CONTROL = {
    "title": "Own control variates",
    "method": "fedavg",
    "parts": [
        {"slot": "gradients", "name": "Correct", "reason": "takes each client's own direction out"},
        {"slot": "states", "name": "OwnGradient", "reason": "remembers it"},
        {"slot": "server", "name": "KeepControl", "reason": "keeps everyone's mean"},
    ],
    "hypothesis": "One label a client pulls every local step away; with its mean gradient taken out the drift is gone.",
    "expectedEffect": "many points of accuracy",
    "source": "Karimireddy et al. 2020",
}
LONGER = {
    "title": "Longer server steps",
    "method": "fedavg",
    "parts": [{"slot": "server", "name": "ServerStep", "reason": "averages of opposed updates are short"}],
    "hypothesis": "Averaged updates of clients with one label each cancel out, so a longer step along them helps.",
}


def _files(**files: str) -> str:
    return "\n".join(f"```python {name}.py\n{source}```" for name, source in files.items())


def plan(_prompt: str) -> str:
    return "Here is the plan.\n" + json.dumps({"summary": "One label a client.", "candidates": [OWN_CONTROL]})


def code(_prompt: str) -> str:
    return _files(strategy=STRATEGY, control=BROKEN, test_strategy=TESTS)


def debug(_prompt: str) -> str:
    return MENDED


def reflect(_prompt: str) -> str:
    return json.dumps({"critique": "Drift was the problem.", "proposals": [LONGER]})


def review(prompt: str) -> str:
    pairs = [(p, d) for p in re.findall(r"^S(\d+): ", prompt, re.M) for d in re.findall(r"^D(\d+), ", prompt, re.M)]
    return "\n".join(f"S{p} D{d} {3 + (int(p) + int(d)) % 2}" for p, d in pairs)


ROLES = {
    "plan the search": plan,
    "write one candidate": code,
    "mend a draft": debug,
    "reflect and propose": reflect,
    "grade proposals": review,
}


def role_player(handler: Handler, body: Json, before: int) -> None:
    """The script of a provider that plays whoever is asked for."""
    prompt = str(body["messages"][1]["content"])
    plays = next(plays for words, plays in ROLES.items() if f"# Your task: {words}" in prompt)
    said = plays(prompt)
    usage = {
        "prompt_tokens": sum(len(str(one.get("content"))) for one in body["messages"]) // 4,
        "completion_tokens": len(said) // 4,
    }
    answer(said, usage={**usage, "total_tokens": sum(usage.values())})(handler, body, before)
