"""Which compositions are wrong, and why: a table of named rules over what parts declare of themselves.

A rule speaks of features, never of methods, so that it holds for parts that nobody has written yet. Refusals stop a
strategy before round 1; warnings go into its report.

Features that parts declare, beyond their own names for themselves:

=====================  ================================================================================================
control-variates       corrects each local gradient by an estimate of the client's and of the global gradient (SCAFFOLD)
owned-rows             a combiner that leaves out of some rows clients that hold them
dynamic-regularizer    adds a linear and a quadratic term that grow into the same estimates (FedDyn)
proximal               pulls towards the round's start (FedProx)
needs-travel           divides by `LocalOutcome.travel`
nonlinear-local        the local update is no fixed linear function of its gradients (Adam, clipping)
no-gradient-steps      the local update does not move the model's weights (FedDM)
server-state           the server optimizer keeps momentum or second moments
server-rule            the server optimizer is a rule of its own, that no momentum may follow
normalised-weights     a weighting that sets each client's scale itself (FedNova)
client-weights         a weighting that treats clients differently by what they did or sent
own-selection          a selection that is not uniform
uniform-weights        every client of the cohort counts the same
order-statistic        a combiner that is not linear (median, trimmed mean, Krum)
client-state           something is remembered at the client
frames                 clients hold different coordinates; rank-frames: slices the rank of a factorisation
heads                  the task has several heads, and clients hold the outputs of their own alone
fresh-frames           the coordinates change from round to round
private-keys           some keys never leave the client; private-norm, private-head: which
factorised             weights are products of factors
batch-statistics       refreshes running statistics at the server (sBN)
quantised, biased      the upload codec adds noise of mean zero; the upload codec has a bias
payload                sends something beside the update
synthetic-data         sends data
global-head            reads the downloaded head in the local objective (MOON, FedMLB)
head-norms             compares clients by gradients at their heads
measures-data          sends figures about the client's samples
batch-coupled          a loss term that mixes the examples of a batch
changes-down           (derived) downloads carry the model's encoded change
one-by-one             (derived) a client-side part takes no cohort axis
model:<capability>     (derived) what the model is capable of
=====================  ================================================================================================
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.parts import LocalPlan, Part, Phase
from fedwright_federation.algorithm.strategy import Strategy


class Unit(StrEnum):
    CLIENT = "Client"
    EXAMPLE = "Example"


class HasUnit(Protocol):
    """What legality needs of a privacy specification."""

    @property
    def unit(self) -> str: ...


@dataclass(frozen=True)
class Refusal:
    """`rule` is stable and short; `reason` is for a person and says how to mend it. A warning has `fatal` False."""

    rule: str
    reason: str
    fatal: bool = True


@dataclass(frozen=True)
class Rule:
    """Applies where all of `all_of` are present and none of `unless`."""

    name: str
    all_of: frozenset[str]
    reason: str
    unless: frozenset[str] = frozenset()
    fatal: bool = True

    def applies(self, features: frozenset[str]) -> bool:
        return self.all_of <= features and not self.unless & features


def _rule(name: str, present: str, reason: str, unless: str = "", fatal: bool = True) -> Rule:
    return Rule(name, frozenset(present.split()), reason, frozenset(unless.split()), fatal)


RULES: tuple[Rule, ...] = (
    _rule(
        "travel-undefined",
        "needs-travel nonlinear-local",
        "its update is divided by the length of its gradients' path, which adaptive or clipped local steps do not have; use Sgd",
    ),
    _rule(
        "travel-without-steps",
        "needs-travel no-gradient-steps",
        "its update is divided by the number of local steps, and this local update makes none; use Sgd or another weighting",
    ),
    _rule(
        "double-correction",
        "control-variates dynamic-regularizer",
        "both estimate each client's gradient at the same point, so the drift would be corrected twice; keep one",
    ),
    _rule(
        "double-proximal",
        "proximal dynamic-regularizer",
        "both add a quadratic pull, so mu adds to alpha and the linear term is updated with the wrong constant; set mu to 0",
        fatal=False,
    ),
    _rule(
        "two-server-rules",
        "server-rule server-state",
        "FedDyn's x = mean - h/alpha is itself the server's rule and loses its fixed point under momentum; keep one",
    ),
    _rule(
        "dynamic-server",
        "dynamic-regularizer",
        "clients' linear terms mean something only where the server's step undoes their mean, h; use DynamicServer",
        unless="server-rule",
    ),
    _rule(
        "dynamic-weights",
        "dynamic-regularizer",
        "the state at the server is the clients' mean, which needs every client to count the same; use Uniform weighting",
        unless="uniform-weights",
    ),
    _rule(
        "dynamic-order-statistic",
        "dynamic-regularizer order-statistic",
        "the state at the server needs the mean of the updates, which an order statistic is not; use WeightedMean",
    ),
    _rule(
        "dynamic-owned-rows",
        "dynamic-regularizer owned-rows",
        "the state at the server needs the mean over all that hold a coordinate, and a class's row here counts its owners "
        "alone; use WeightedMean",
    ),
    _rule(
        "control-weights",
        "control-variates normalised-weights",
        "control variates already undo unequal work, and rescaled updates no longer match them; use Uniform weighting",
    ),
    _rule(
        "control-uniform",
        "control-variates",
        "its theory weighs every client of the cohort alike; use Uniform weighting",
        unless="uniform-weights normalised-weights",
        fatal=False,
    ),
    _rule(
        "control-frames",
        "control-variates frames",
        "control variates of clients that hold different coordinates have no common mean; use the whole model, or a task "
        "with one head",
    ),
    _rule(
        "state-of-changing-shape",
        "client-state fresh-frames",
        "a client's state has the shapes of its sub-model, which changes from round to round; fix the frames",
    ),
    _rule(
        "private-keys-of-changing-shape",
        "private-keys fresh-frames",
        "a client's own keys have the shapes of its sub-model, which changes from round to round; fix the frames",
    ),
    _rule(
        "changes-of-frames",
        "changes-down frames",
        "one encoded change fits only clients that hold the whole model; send models as they are",
    ),
    _rule(
        "synthetic-heads",
        "synthetic-data heads",
        "the server trains on samples of all clients, and their labels do not say to which head they belong; send updates, "
        "or give the task one head",
    ),
    _rule(
        "norms-of-heads",
        "head-norms heads",
        "gradients at different heads have different norms whatever the data, so clean clients would be taken for noisy; "
        "use BySamples or Uniform weighting",
    ),
    _rule(
        "ranks-sliced",
        "factorised frames rank-frames",
        "slicing the rank changes every entry of the product; slice rows of the factors instead",
    ),
    _rule(
        "order-statistic-frames",
        "order-statistic frames",
        "an order statistic over coordinates that few clients hold is one client's word; use WeightedMean",
    ),
    _rule(
        "order-statistic-weights",
        "order-statistic client-weights",
        "an order statistic ignores weights, so this weighting would do nothing; use Uniform weighting",
    ),
    _rule(
        "private-statistics-refreshed",
        "private-norm batch-statistics",
        "running statistics are private and never reach the server, which would refresh them; drop one",
    ),
    _rule(
        "biased-with-state",
        "biased control-variates",
        "clients' state is built on exact updates and the server's on decoded ones, so the two drift apart; use Qsgd",
        fatal=False,
    ),
    _rule(
        "biased-dynamic",
        "biased dynamic-regularizer",
        "clients' state is built on exact updates and the server's on decoded ones, so the two drift apart; use Qsgd",
        fatal=False,
    ),
    _rule(
        "global-head-private",
        "private-head global-head",
        "no global head exists where heads are private: the frozen branch uses the client's own",
        fatal=False,
    ),
    _rule(
        "synthetic-server-optimizer",
        "no-gradient-steps server-state",
        "the update is zero and the server trains instead, so the server optimizer's state would stay empty; drop it",
    ),
    _rule(
        "synthetic-codec",
        "no-gradient-steps quantised",
        "the update is zero, so this codec would compress nothing; drop it",
    ),
)

PRIVACY_RULES: dict[str, tuple[Rule, ...]] = {
    Unit.CLIENT: (
        _rule(
            "private-payload",
            "payload",
            "only the clipped update is accounted for, and this strategy sends more beside it",
        ),
        _rule("private-synthetic", "synthetic-data", "synthetic data leave the client without clipping or noise"),
        _rule(
            "private-weights",
            "client-weights",
            "a sum of clipped updates has one weight for all; use BySamples or Uniform",
        ),
        _rule(
            "private-weights",
            "normalised-weights",
            "a sum of clipped updates has one weight for all; use BySamples or Uniform",
        ),
        _rule("private-combiner", "order-statistic", "only the noisy sum of the updates is known, never a single one"),
        _rule(
            "private-frames",
            "frames",
            "the noisy sum has one denominator for all coordinates; use the whole model",
            unless="heads",
        ),
        _rule(
            "private-selection",
            "own-selection",
            "the accountant needs cohorts drawn by independent coins; use UniformSelection",
        ),
    ),
    Unit.EXAMPLE: (
        _rule("private-synthetic", "synthetic-data", "synthetic data leave the client without clipping or noise"),
        _rule("private-payload", "measures-data", "a measurement of the client's samples is sent without noise"),
        _rule("private-steps", "no-gradient-steps", "noise is added to gradients, and this local update follows none"),
        _rule(
            "private-cohort",
            "one-by-one",
            "a part at the client takes no cohort axis, which gives each example its gradient; write it so, with cohort = True",
        ),
        _rule(
            "private-batch-norm",
            "model:batch_norm",
            "batch statistics mix the examples of a batch; set model.batchNorm to false",
        ),
        _rule(
            "private-batch-loss",
            "batch-coupled",
            "its loss mixes the examples of a batch, so no example has a gradient of its own",
        ),
    ),
}


_ONE_STEP = LocalPlan((Phase(1),))


def check(strategy: Strategy, model: Model, privacy: HasUnit | None = None) -> list[Refusal]:
    """What is wrong with this strategy on this model; empty or warnings alone where it may run.

    `model` is the one requested, before the strategy's own surgery. Where privacy cannot be honoured the reason names
    `spec.privacy`.
    """
    found = _missing("view", strategy.view, model.capabilities)
    if found:
        return found
    capabilities = strategy.view.model(model).capabilities
    for slot, part in strategy.parts():
        if slot != "view":
            found += _missing(slot, part, capabilities)
    facts = strategy.features | _derived(strategy, capabilities)
    found += [Refusal(rule.name, rule.reason, rule.fatal) for rule in RULES if rule.applies(facts)]
    return found if privacy is None else found + _privacy(facts, privacy.unit)


def _missing(slot: str, part: Part, capabilities: frozenset[str]) -> list[Refusal]:
    reason = "{} in slot {} needs a model with {}; choose another model or drop the part"
    lacking = sorted(part.needs - capabilities)
    return [Refusal("missing-capability", reason.format(type(part).__name__, slot, need)) for need in lacking]


def _derived(strategy: Strategy, capabilities: frozenset[str]) -> frozenset[str]:
    """What no single part declares, or what is so whatever parts declare."""
    facts = {f"model:{capability}" for capability in capabilities}
    if strategy.sends_changes:
        facts.add("changes-down")
    if not strategy.cohort:
        facts.add("one-by-one")
    if any(part.payloads for part in strategy.states):
        facts.add("payload")
    if strategy.probes:
        facts.add("measures-data")
    if "no-gradient-steps" not in strategy.features and not strategy.local.travel(_ONE_STEP, 0.0):
        facts.add("nonlinear-local")
    return frozenset(facts)


def _privacy(facts: frozenset[str], unit: str) -> list[Refusal]:
    refused = {
        rule.name: Refusal(rule.name, f"spec.privacy: {rule.reason}")
        for rule in PRIVACY_RULES[unit]
        if rule.applies(facts)
    }
    return list(refused.values())


def refusals(found: list[Refusal]) -> list[Refusal]:
    return [refusal for refusal in found if refusal.fatal]


class IllegalStrategyError(ValueError):
    """Raised before round 1; holds every refusal."""

    def __init__(self, strategy: Strategy, found: list[Refusal]) -> None:
        self.refusals = tuple(found)
        super().__init__(f"{strategy.name} cannot run: " + "; ".join(f"[{r.rule}] {r.reason}" for r in found))


def require_legal(strategy: Strategy, model: Model, privacy: HasUnit | None = None) -> list[Refusal]:
    """The warnings. Raises `IllegalStrategyError` if there is anything worse."""
    found = check(strategy, model, privacy)
    if fatal := refusals(found):
        raise IllegalStrategyError(strategy, fatal)
    return found
