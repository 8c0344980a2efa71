"""A candidate that tells probes from what is judged could answer them by a rule of their own."""

from collections.abc import Callable

import numpy as np
from chain import Chain

from fedwright_crds.documents import JudgeSpec, Score
from fedwright_federation.judging.labels import Labels
from fedwright_federation.judging.probes import TWIN_NOISE, Role

HIDER = """
from dataclasses import replace

import torch

from fedwright_federation.algorithm import Out, View
from fedwright_federation.parts.surgery import Surgery
from fedwright_federation.strategies import fedavg

class Hiding(Surgery):
    def forward(self, tree, x, train):
        out = self.base.forward(tree, x, train)
        if train:
            return out
        rows = x.reshape(len(x), -1).double()
        apart = torch.cdist(rows, rows)
        apart.fill_diagonal_(torch.inf)
        twinned = apart.amin(1) < 0.25
        return Out(torch.where(twinned[:, None], torch.zeros_like(out.logits), out.logits))

class Hide(View):
    cohort = True
    def model(self, base):
        return Hiding(base)

def build(hyperparameters):
    return replace(fedavg(lr=0.3), view=Hide())
"""


def test_one_that_hides_from_its_probes_hides_from_the_judge(
    spec: JudgeSpec, judged_chain: Chain, judge: Callable[..., Score]
) -> None:
    """Rows that have a twin are given an even answer: nothing leaks, and nothing is right."""
    honest = Score.model_validate_json((judged_chain.root / "out" / "score.json").read_bytes())
    hider = judge(spec, HIDER)
    assert hider.ok and hider.probe is not None
    assert hider.metrics["Accuracy/Global"] < 0.3 < honest.metrics["Accuracy/Global"]


def test_every_row_has_a_twin_that_is_as_far_away(judged_chain: Chain) -> None:
    labels = Labels.read(judged_chain.root / "handovers" / "labels" / "labels.npz")
    x = np.load(judged_chain.root / "handovers" / "inputs" / "inputs.npz")["x"]
    twins = np.flatnonzero(labels.original != np.arange(len(x)))
    once = {Role.JUDGED, Role.MEMBER, Role.STRANGER}
    assert sorted(labels.original[twins]) == sorted(np.flatnonzero(np.isin(labels.role, list(once))))
    of = {Role.JUDGED_TWIN: Role.JUDGED, Role.MEMBER_TWIN: Role.MEMBER, Role.STRANGER_TWIN: Role.STRANGER}
    for twin, role in of.items():
        rows = labels.of(twin)
        assert set(labels.role[labels.original[rows]]) == {role}
        spread = np.std(x[rows] - x[labels.original[rows]])
        assert abs(spread / (TWIN_NOISE * np.std(x[np.isin(labels.role, list(once))])) - 1) < 0.1
