"""Whether a work can be a pod at all: which boxes may be in one, and whether its steps fit together."""

from enum import StrEnum

from fedwright_crds.request import CATALOGUE
from fedwright_crds.work import BoxKind, Step, Work


class UnfitWorkError(Exception):
    """The work cannot be a Job as it is written; trying again would not help."""


class Network(StrEnum):
    """What a pod may reach."""

    CLOSED = "closed"
    """Nothing, nor does anything reach it."""
    MODEL = "model"
    """DNS and the model gateway."""
    FEDERATION = "federation"
    """DNS and the Control port of one federation."""


def asks_a_model(step: Step) -> bool:
    """Whether a language model stands behind a step."""
    return step.box is BoxKind.MIND and len(step.program) > 1 and step.program[1] != CATALOGUE


def checked(work: Work) -> Network:
    """What the work's pod may reach. Raises UnfitWorkError; its steps share a network, so it must be the same for all."""
    _boxes(work)
    _once("step", [step.name for step in work.steps])
    for field in ("inputs", "handovers", "outputs"):
        _once(field.removesuffix("s"), [one.name for one in getattr(work, field)])
    _flow(work)
    networks = {_network(step) for step in work.steps}
    if len(networks) > 1:
        raise UnfitWorkError(f"steps that may reach {' and '.join(sorted(networks))} are in one work; make them two")
    if len({step.federation for step in work.steps}) > 1:
        raise UnfitWorkError("steps of one work name different federations; make them two")
    return networks.pop()


def _network(step: Step) -> Network:
    if step.box is BoxKind.PLATFORM:
        return Network.FEDERATION
    return Network.MODEL if asks_a_model(step) else Network.CLOSED


def _boxes(work: Work) -> None:
    kinds = {step.box for step in work.steps}
    for alone in (BoxKind.MIND, BoxKind.PLATFORM):
        if alone in kinds and len(kinds) > 1:
            others = ", ".join(sorted(kinds - {alone}))
            raise UnfitWorkError(f"a {alone} step is in one work with steps of {others}; make them works of their own")
    for step in work.steps:
        if step.federation and step.box is not BoxKind.PLATFORM:
            raise UnfitWorkError(f"step {step.name} names a federation and is no Platform step")
        if step.box not in work.images:
            raise UnfitWorkError(f"step {step.name} has a {step.box} box, for which the work pins no image")


def _once(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UnfitWorkError(f"two of the work's {what}s are called {name}; rename one")


def _flow(work: Work) -> None:
    """Everything that a step names is there, handovers are written once and before they are read, outputs once."""
    inputs, handovers = {one.name for one in work.inputs}, {one.name for one in work.handovers}
    outputs = {one.name for one in work.outputs}
    written: set[str] = set()
    for step in work.steps:
        _named(step, "inputs", inputs)
        _named(step, "writes", handovers - written)
        _named(step, "reads", written)
        _named(step, "outputs", outputs)
        written |= set(step.writes)
        outputs -= set(step.outputs)


def _named(step: Step, field: str, there: set[str]) -> None:
    names = getattr(step, field)
    _once(f"{step.name} {field[:-1]}", list(names))
    if missing := set(names) - there:
        raise UnfitWorkError(
            f"step {step.name}: {field} names {', '.join(sorted(missing))}, which the work has not, or not at that point"
        )
