"""Contract tests: what every strategy must hold to, run against a candidate that cannot edit them.

Each check is a function that returns quietly or raises CandidateError with the place, the reason and the mend. Checks run in
an order in which each may rely on those before it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from fedwright_crds.documents import CandidateCode, CheckFailure, Contract
from fedwright_federation.algorithm import Model, Raw, Strategy, check, on_heads, own_part
from fedwright_federation.algorithm.tree import finite
from fedwright_federation.candidates.failures import CandidateError, blame, failure, from_exception
from fedwright_federation.candidates.loader import load_strategy
from fedwright_federation.candidates.rehearsal import (
    CLIENTS,
    ROUNDS,
    Outcome,
    Rehearsal,
    apart,
    cosine_of,
    largest_difference,
    pooled,
    rehearsal,
    sent_through,
    travelling,
)
from fedwright_federation.heads import Heads
from fedwright_federation.models import build_model

TOLERANCE = 1e-4
"""Relative, between the whole cohort at once and client by client."""
MESSAGES = 8
LEAST_COSINE = 0.1
"""Between an update and the sum of what its messages decode to: the coarsest codecs of use lie above it, a lost sign near 0."""
SEQUENTIAL_ONLY = "sequential-only"
"""The feature of a strategy whose clients run one by one."""


@dataclass(frozen=True)
class Verdict:
    """Names of the checks that held, the failures of the one that did not, and what the strategy is."""

    held: tuple[str, ...]
    failures: tuple[CheckFailure, ...]
    features: tuple[str, ...]


class Subject:
    """A candidate under test; runs are made once and shared by the checks."""

    def __init__(self, code: CandidateCode, contract: Contract) -> None:
        self.code, self.contract = code, contract
        self.model: Model = build_model(contract.model, contract.input_shape, contract.classes)
        self.heads = Heads(contract.task.outputs(contract.classes))
        self.rehearsal: Rehearsal = rehearsal(contract, self.model, self.heads)

    def build(self, hyperparameters: Mapping[str, float] | None = None) -> Strategy:
        """From freshly imported code, so that nothing is remembered in a module."""
        asked = self.contract.hyperparameters if hyperparameters is None else hyperparameters
        return on_heads(load_strategy(self.code, asked), self.heads)

    @cached_property
    def strategy(self) -> Strategy:
        return self.build()

    @cached_property
    def run(self) -> Outcome:
        """Client by client, as a federation computes it."""
        with blame("Simulation"):
            return pooled(self.strategy, self.rehearsal, "sequential")


def verdict(code: CandidateCode, contract: Contract) -> Verdict:
    """Runs all checks up to the first that fails."""
    torch.set_num_threads(1)
    subject = Subject(code, contract)
    held: list[str] = []
    for name, one in CHECKS.items():
        try:
            with blame(name):
                one(subject)
        except CandidateError as error:
            return Verdict(tuple(held), error.failures, ())
        held.append(name)
    return Verdict(tuple(held), (), _features(subject.strategy))


def _features(strategy: Strategy) -> tuple[str, ...]:
    return tuple(sorted(strategy.features | (set() if strategy.cohort else {SEQUENTIAL_ONLY})))


def _fail(name: str, message: str) -> CandidateError:
    return CandidateError(failure(name, message))


# -- the checks -------------------------------------------------------------------------------------------------------
def builds(subject: Subject) -> None:
    """`build` makes a strategy of the contract's hyperparameters, and of none of them keeps another value."""
    asked, kept = subject.contract.hyperparameters, subject.strategy.hyperparameters
    wrong = [name for name, value in asked.items() if name in kept and kept[name] != value]
    if wrong:
        told = ", ".join(f"{name} is {asked[name]} and the strategy says {kept[name]}" for name in wrong)
        raise _fail("Build", f"{told}; pass hyperparameters on as they are given")


def is_legal(subject: Subject) -> None:
    """No rule of composition forbids it."""
    found = check(subject.strategy, subject.model, subject.contract.privacy)
    fatal = [refusal for refusal in found if refusal.fatal]
    if fatal:
        raise CandidateError(*(failure("Legality", f"[{one.rule}] {one.reason}") for one in fatal))


def hyperparameters_reach(subject: Subject) -> None:
    """Another value of a hyperparameter gives other parts."""
    asked = subject.contract.hyperparameters
    usual = list(subject.build().parts())
    for name, value in asked.items():
        others = [_rebuilt(subject, {**asked, name: other}) for other in (value * 0.5, value * 2, value + 1)]
        made = [list(other.parts()) for other in others if other is not None]
        if made and all(parts == usual for parts in made):
            raise _fail("Hyperparameters", f"{name} reaches no part; use it in build or drop it")


def _rebuilt(subject: Subject, hyperparameters: Mapping[str, float]) -> Strategy | None:
    try:
        return subject.build(hyperparameters)
    except CandidateError:
        return None  # that value is not allowed, and another may be


def simulates(subject: Subject) -> None:
    """Rounds of a few clients: terms and models keep their shapes, and the server takes every upload."""
    for report in subject.run.reports:
        for client, reason in report.rejected.items():
            name = (
                "Finite" if "finite" in reason else "Shape" if "shape" in reason or "keys" in reason else "Simulation"
            )
            raise _fail(name, f"the server refused client {client}'s upload in round {report.round}: {reason}")
    if not any(report.reported for report in subject.run.reports):
        raise _fail("Simulation", "no client sent anything in any round; plan at least one local step")


def stays_finite(subject: Subject) -> None:
    """No NaN, no infinity and nothing but float32 in any model that is judged."""
    checkpoint = subject.run.checkpoint
    for where, tree in ((None, checkpoint.model), *checkpoint.personal.items()):
        name = "the judged global" if where is None else f"client {where}'s"
        for key, value in tree.items():
            if value.dtype != np.float32:
                raise _fail("Dtype", f"{name} model has {key} in {value.dtype}; keep every tree in float32")
        if not finite(tree):
            raise _fail("Finite", f"{name} model has NaN or infinite weights; check signs, divisions and step sizes")


def predicts(subject: Subject) -> None:
    """Every client's judged model gives finite logits, one a class."""
    model, strategy = subject.strategy.view.model(subject.model), subject.strategy
    for client, shard in enumerate(subject.rehearsal.shards):
        whole = own_part(subject.heads, model, subject.run.checkpoint.model, client)
        tree = {**whole, **subject.run.checkpoint.personal.get(client, {})}
        with torch.no_grad():
            tensors = {key: torch.from_numpy(value) for key, value in tree.items()}
            logits = strategy.evaluation.logits(model.forward(tensors, torch.from_numpy(shard.x), train=False))
        wanted = (len(shard.y), subject.heads.count(client))
        if tuple(logits.shape) != wanted:
            raise _fail("Prediction", f"logits have shape {tuple(logits.shape)}, not {wanted}")
        if not bool(torch.isfinite(logits).all()):
            raise _fail("Prediction", "logits are not finite")


def is_deterministic(subject: Subject) -> None:
    """The same strategy run again gives the same bytes."""
    again = pooled(subject.strategy, subject.rehearsal, "sequential")
    if largest_difference(subject.run.x, again.x):
        raise _fail(
            "Determinism",
            "a second run of one seed gives another model; draw from the generators that parts are given, and keep what "
            "is remembered in ClientState or the server's state, not in an object or a module",
        )


def travels(subject: Subject) -> None:
    """A process for each client, and everything that is sent or kept as bytes, change nothing."""
    if _same(subject, together=False):
        return
    if _same(subject, together=True):
        raise _fail(
            "ClientState",
            "the model changes where each client is a process of its own; what clients share beside messages "
            "(module variables, objects in parts) is not there in a federation: what a client remembers belongs in a "
            "ClientState, what the server does in its optimizer's or weighting's state; selections and schedules compute all "
            "from the round",
        )
    raise _fail(
        "Serialisation",
        "the model changes where messages and states are written down and read back; keep all of them in float32 trees",
    )


def _same(subject: Subject, together: bool) -> bool:
    build = (lambda: subject.strategy) if together else subject.build
    moved = apart([build] * (1 + CLIENTS), subject.rehearsal)
    return largest_difference(subject.run.x, moved.x) == 0.0


def decodes(subject: Subject) -> None:
    """What comes out of the upload codec points where the update pointed, over a few messages of one update; nothing may come out."""
    strategy, model = subject.strategy, subject.strategy.view.model(subject.model)
    like = travelling(strategy, model)
    rng = np.random.default_rng(0)
    update = {key: rng.normal(0.0, 0.01, value.shape).astype(np.float32) for key, value in like.items()}
    rounds = [subject.rehearsal.run.round(1 + number % ROUNDS, model) for number in range(MESSAGES)]
    cosine = cosine_of(sent_through(strategy.upload, update, like, rounds), update)
    if cosine is not None and cosine < LEAST_COSINE:
        name = type(strategy.upload).__name__
        told = f"over {MESSAGES} messages of one update what {name} decodes points elsewhere (cosine {cosine:.2f})"
        raise _fail("Codec", f"{told}; check signs, indices and order")


def cohort_agrees(subject: Subject) -> None:
    """Where all parts accept the cohort axis, the whole cohort at once gives what client by client does."""
    if not subject.strategy.cohort:
        return
    # A codec that rounds at random turns rounding errors into other messages, so it is left out here.
    plain = replace(subject.strategy, upload=Raw(), download=Raw())
    try:
        together = pooled(plain, subject.rehearsal, "cohort")
    except Exception as error:
        found = from_exception("Cohort", error)
        message = f"{found.message} with the cohort axis. {_COHORT_MEND}"
        raise CandidateError(found.model_copy(update={"message": message})) from error
    gap = largest_difference(pooled(plain, subject.rehearsal, "sequential").x, together.x)
    if gap > TOLERANCE:
        raise _fail("Cohort", f"with the cohort axis the model differs by {gap:.2g}. {_COHORT_MEND}")


_COHORT_MEND = (
    "Weights and batches begin with [K]: reduce over the last axes only, let a bias [K, d] broadcast over the batch, or do not "
    "declare `cohort`, so that clients run one by one"
)

CHECKS: dict[str, Callable[[Subject], None]] = {
    "Build": builds,
    "Legality": is_legal,
    "Hyperparameters": hyperparameters_reach,
    "Simulation": simulates,
    "Finite": stays_finite,
    "Prediction": predicts,
    "Determinism": is_deterministic,
    "Serialisation": travels,
    "Codec": decodes,
    "Cohort": cohort_agrees,
}
