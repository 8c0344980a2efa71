"""The catalogue's data against the recipes, the parts and the rules that they speak of."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import combinations
from typing import Any

import pytest

from fedwright_agents.catalogue_mind.code import code
from fedwright_crds.documents import CodeInput, DataFacts
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import Architecture, Data, DataSource, ModelSpec, Task
from fedwright_federation.algorithm import Strategy, check, on_heads
from fedwright_federation.algorithm.legality import Unit
from fedwright_federation.candidates.loader import load_strategy
from fedwright_federation.catalogue import (
    Composition,
    PartsClashError,
    UnknownEntryError,
    catalogue,
    compose,
    export,
    extend,
    of_method,
)
from fedwright_federation.catalogue.circumstances import circumstances
from fedwright_federation.catalogue.composition import capabilities
from fedwright_federation.catalogue.entries import Circumstance
from fedwright_federation.catalogue.matching import match
from fedwright_federation.heads import Heads
from fedwright_federation.models import build_model

KNOWN = catalogue()
METHODS = sorted(KNOWN.methods)
DEEP = ModelSpec(hidden=(16, 12), batch_norm=True)
PLAIN = ModelSpec(hidden=(8,))
LINEAR = ModelSpec(architecture=Architecture.SOFTMAX, hidden=())
TASK = Task(data=Data(source=DataSource.DIGITS))


def resolve(reference: str) -> Any:
    module, name = reference.split(":")
    return getattr(import_module(module), name)


def strategy_of(composition: Composition, **hyperparameters: float) -> Strategy:
    """What the coder's code of this composition builds."""
    from fedwright_agents.catalogue_mind.render import render

    files = render(composition, composition.ranges, "a composition", "a composition", "")
    return load_strategy(files, hyperparameters)


def recipe_of(method: str) -> Callable[..., Strategy]:
    found: Callable[..., Strategy] = resolve(KNOWN.method(method).recipe)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_composition_is_its_recipe(method: str) -> None:
    composition = of_method(KNOWN, method)
    arguments = {name: one.default for name, one in inspect.signature(recipe_of(method)).parameters.items()}
    assert {one.name: one.default for one in composition.ranges}.items() <= arguments.items()
    assert list(strategy_of(composition).parts()) == list(recipe_of(method)().parts())


@pytest.mark.parametrize("method", METHODS)
def test_every_grid_value_builds_and_reaches_the_same_parts_as_the_recipe(method: str) -> None:
    composition = of_method(KNOWN, method)
    for one in composition.ranges:
        for value in one.grid:
            whole = KNOWN.hyperparameters[one.name].whole
            recipe = recipe_of(method)(**{one.name: int(value) if whole else value})
            assert list(strategy_of(composition, **{one.name: value}).parts()) == list(recipe.parts())


@pytest.mark.parametrize("name", sorted(KNOWN.parts))
def test_a_part_declares_what_its_class_does(name: str) -> None:
    entry = KNOWN.part(name)
    made = [part for slot, part in strategy_of(compose(KNOWN, [name])).parts() if slot == entry.slot]
    part = next(one for one in made if type(one).__name__ == entry.class_name)
    assert part.features == entry.features
    assert part.needs == entry.needs
    assert entry.slot not in {"losses", "gradients", "local"} or part.cohort == entry.cohort
    assert entry.neutral == (type(part) is type(_neutral(entry.slot)))


def _neutral(slot: str) -> object:
    value = getattr(Strategy(), slot)
    return value[0] if isinstance(value, tuple) and value else value


@pytest.mark.parametrize("spec", [DEEP, PLAIN, LINEAR, ModelSpec(hidden=(), batch_norm=True)])
def test_a_models_capabilities_are_known_without_building_it(spec: ModelSpec) -> None:
    assert capabilities(spec) == build_model(spec, (8, 8), 10).capabilities


@pytest.mark.parametrize("unit", [None, Unit.CLIENT, Unit.EXAMPLE])
@pytest.mark.parametrize(("spec", "heads"), [(DEEP, 1), (LINEAR, 1), (DEEP, 3)])
def test_the_datas_rules_speak_as_the_algorithms_do(spec: ModelSpec, heads: int, unit: Unit | None) -> None:
    """On every pair of methods: each legal and each illegal composition is known as such, by the same rules."""
    model = build_model(spec, (8, 8), 10)
    asked = None if unit is None else _Privacy(unit)
    refused = 0
    for pair in [*((one,) for one in METHODS), *combinations(METHODS, 2)]:
        try:
            composition = compose(KNOWN, *(KNOWN.method(one).parts for one in pair))
        except PartsClashError:
            continue
        found = check(on_heads(strategy_of(composition), Heads((4,) * heads)), model, asked)
        told = composition.objections(spec, unit, heads)
        assert {(one.rule, one.fatal) for one in told} == {(one.rule, one.fatal) for one in found}, pair
        refused += any(one.fatal for one in found)
    assert refused > 5


class _Privacy:
    def __init__(self, unit: Unit) -> None:
        self.unit = unit


def test_the_rules_file_is_the_algorithms_table() -> None:
    assert export.FILE.read_text(encoding="utf-8") == export.text(), (
        "run python -m fedwright_federation.catalogue.export"
    )


def test_the_catalogue_is_read_without_torch() -> None:
    script = "import sys, fedwright_federation.catalogue as c; c.catalogue(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_method_cites_a_paper_and_says_what_it_is_for() -> None:
    for method in KNOWN.methods.values():
        assert method.paper.url.startswith("https://")
        assert method.purpose
        assert bool(method.serves) == (method.id != "fedavg")


def test_names_are_found_whatever_their_case_and_others_are_refused_with_the_choices() -> None:
    assert KNOWN.method("SCAFFOLD").id == "scaffold"
    with pytest.raises(UnknownEntryError, match=r"no method 'fedwhat'; it has .*fedavg"):
        KNOWN.method("fedwhat")


# -- composing --------------------------------------------------------------------------------------------------------
def test_a_wrapping_part_holds_whatever_moves_the_model() -> None:
    server = strategy_of(compose(KNOWN, KNOWN.method("scaffold").parts, KNOWN.method("fedadam").parts)).server
    assert type(server).__name__ == "ServerControl"
    assert type(server.inner).__name__ == "Adaptive"  # type: ignore[attr-defined]


def test_two_parts_that_want_one_slot_clash() -> None:
    with pytest.raises(PartsClashError, match="slot server is filled by MomentumServer and AdamServer"):
        compose(KNOWN, KNOWN.method("fedavgm").parts, KNOWN.method("fedadam").parts)


def test_extending_replaces_what_was_in_the_slot_and_keeps_what_wraps_it() -> None:
    changed = extend(of_method(KNOWN, "scaffold"), ["MomentumServer"])
    assert changed.of("server") == ("MomentumServer", "ControlServer")


def test_a_masked_loss_replaces_the_plain_one_and_leaves_other_terms() -> None:
    losses = compose(KNOWN, KNOWN.method("moon").parts, ["MaskedCrossEntropy"]).of("losses")
    assert losses == ("ModelContrast", "MaskedCrossEntropy")


def test_code_of_an_illegal_composition_is_not_written() -> None:
    asked = CodeInput(title="x", method="fedmlb", hypothesis="", model=LINEAR, task=TASK)
    assert "needs a model with blocks" in code(asked).cannot


def test_a_task_of_several_heads_is_known_as_one_and_what_cannot_serve_it_says_why() -> None:
    wire = {"goal": "g", "task": {"data": {"source": "Digits"}, "heads": [{"name": "a"}, {"name": "b"}]}}
    spec = RequestSpec.model_validate_json(json.dumps(wire))
    facts = DataFacts(
        samples=1797,
        classes=20,
        input_shape=(1, 8, 8),
        train_samples_per_client=(54,) * 20,
        labels_per_client=(10,) * 20,
        label_skew=0.1,
        feature_shift=0.1,
    )
    assert circumstances(facts, spec, DEEP)[Circumstance.MULTI_TASK] == 1.0
    excluded = {one.method.id: one.excluded for one in match(KNOWN, facts, spec, DEEP) if one.excluded}
    assert set(excluded) == {"scaffold", "feddm", "fedns", "fedkd"}
    assert "a task with one head" in excluded["scaffold"]
    plain = spec.model_copy(update={"task": spec.task.model_copy(update={"heads": ()})})
    assert Circumstance.MULTI_TASK not in circumstances(facts, plain, DEEP)
    assert not any(one.excluded for one in match(KNOWN, facts, plain, DEEP))
