"""What prompts say of the algorithm interface is so, and they say no more than their role needs."""

import re
from dataclasses import fields
from importlib import import_module

import numpy as np
import pytest
from jinja2 import UndefinedError

from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.prompts import brief, figures, render, trials
from fedwright_crds.candidate import TrialScore
from fedwright_crds.documents import CodeInput, DataFacts
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec
from fedwright_federation import algorithm
from fedwright_federation.algorithm import (
    Aggregate,
    ClientInfo,
    LocalOutcome,
    Phase,
    Report,
    Round,
    Start,
    Step,
    Strategy,
    Training,
)
from fedwright_federation.algorithm.strategy import slots
from fedwright_federation.catalogue import catalogue
from fedwright_federation.simulation.messages import Upload

MOST_CHARACTERS = 12_400
"""Of what all prompts of a coder share: about 3,100 tokens."""


@pytest.fixture
def interface() -> str:
    return render("interface", catalogue=catalogue())


def listed(text: str, start: str, end: str) -> set[str]:
    """The words of a list in the text."""
    return set(re.findall(r"\w+", text.partition(start)[2].partition(end)[0]))


def test_every_name_that_is_offered_can_be_imported(interface: str) -> None:
    names = listed(interface, "from fedwright_federation.algorithm import (", ")")
    assert len(names) > 30 and not [name for name in names if not hasattr(algorithm, name)]


def test_every_catalogue_part_can_be_found_by_what_is_told_of_it(interface: str) -> None:
    told = dict(re.findall(r"(\w+) = (\w+:\w+)\(", interface.partition("Catalogue parts by name")[2]))
    assert told.keys() == catalogue().parts.keys()
    for place in told.values():
        module, name = place.split(":")
        room = "fedwright_federation" if module == "algorithm" else "fedwright_federation.parts"
        assert hasattr(import_module(f"{room}.{module}"), name)


def test_the_slots_are_the_strategys(interface: str) -> None:
    told = interface.partition("Strategy(name, ")[2].partition("); plural slots")[0]
    assert set(re.findall(r"(\w+)=", re.sub(r"\([^()]*=[^()]*\)", "", told))) == {
        *(one.name for one in slots()),
        "hyperparameters",
    }


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [
        ("ClientInfo: ", ".", ClientInfo),
        ("Report: ", ".", Report),
        ("outcome: ", ".", LocalOutcome),
        ("Aggregate: ", " (payloads", Aggregate),
        ("LocalPlan(phases=(Phase(", ")", Phase),
    ],
)
def test_fields_that_are_named_are_there(interface: str, start: str, end: str, kind: type) -> None:
    named = {name for name in listed(interface, start, end) if not name.isdigit()}
    own = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    assert len(named & own) >= 3 and named - own <= {"name", "None", "0", "1"}


def test_what_a_step_shows_is_there(interface: str) -> None:
    told = interface.partition("Step: ")[2].partition("\nLocalUpdate")[0]
    named = set(re.findall(r"\b(model|weights|start|state|published|scalars|present|trained|x|y|out)\b", told))
    assert named == set(Step.__slots__)
    assert {one.name for one in fields(Start)} == {"weights", "shared"}


def test_what_is_told_of_a_round_is_there(interface: str) -> None:
    told = interface.partition("\nround: ")[2].partition("\nSelection")[0]
    own = {one.name for one in fields(Round)} | {"progress"}
    assert own <= set(re.findall(r"\w+", told))
    training = set(re.findall(r"\.(\w+)", told.partition("training (")[2].partition(")")[0]))
    assert training == {"rounds", "participation", "steps", "epochs", "batch_size"}
    assert training <= {one.name for one in fields(Training)}


def test_bytes_of_an_upload_are_as_they_are_told(interface: str) -> None:
    arrays = {"codes": np.zeros(7, np.uint8), "head.weight": np.zeros((3, 2), np.float32)}
    upload = Upload(round=1, client=0, samples=1, steps=1, travel=0.0, loss=0.0, update=arrays)
    told = [int(n) for n in re.findall(r"\d+", interface.partition("Bytes: ")[2].partition("\n")[0])]
    message, array, axis = told
    assert upload.size == message + sum(
        array + len(name) + axis * value.ndim + value.nbytes for name, value in arrays.items()
    )


def test_the_examples_run(interface: str) -> None:
    scaffold, own = interface.partition("Example, SCAFFOLD")[2].partition("Example of a part of one's own:\n")[::2]
    names = {name: getattr(algorithm, name) for name in algorithm.__all__} | {
        "dataclass": __import__("dataclasses").dataclass
    }
    values = names | {"lr": 0.1, "momentum": 0.0, "server_lr": 1.0}
    code = scaffold.partition("\n")[2].replace("Strategy(", "made = Strategy(", 1)
    exec(code, values)
    assert isinstance(values["made"], Strategy) and values["made"].states
    exec(own.partition("`build` must")[0], values)
    assert values["Proximal"](mu=0.5).mu == 0.5


def test_what_all_prompts_share_is_lean_and_the_same_for_all(spec: RequestSpec, facts: DataFacts) -> None:
    def order(title: str) -> CodeInput:
        return CodeInput(title=title, method="fedavg", hypothesis="h", model=ModelSpec(), task=spec.task)

    assert context.of_code(order("a")) == context.of_code(order("b"))
    assert len(context.of_code(order("a"))) < MOST_CHARACTERS
    assert len(context.of_request(spec, facts, None)) < MOST_CHARACTERS


def test_an_undefined_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("code")


def test_what_is_shortened_ends_with_a_whole_word_and_says_so() -> None:
    assert brief("a reason that is short", 40) == "a reason that is short"
    assert brief("a reason that goes on and on", 20) == "a reason that ..."


def trial(value: float | None, rounds: int = 5, **values: float) -> TrialScore:
    return TrialScore(hyperparameters={"server_lr": 1.0, **values}, rounds=rounds, seed=0, value=value)


def test_trials_are_told_by_length_without_what_they_share_and_seeds_are_averaged() -> None:
    found = [trial(0.5, lr=0.1), trial(None, lr=0.3), trial(0.6, 20, lr=0.1), trial(0.8, 20, lr=0.1)]
    assert trials(found) == 'trials in 5 rounds {"lr":0.1} 0.5, {"lr":0.3} failed; in 20 rounds {"lr":0.1} 0.7'


def test_of_many_trials_the_latest_are_told_and_how_many_came_before() -> None:
    told = trials([trial(n / 100, lr=n / 10) for n in range(1, 16)])
    assert told.startswith('trials in 5 rounds 3 before these, {"lr":0.4} 0.04') and told.endswith('{"lr":1.5} 0.15')


def test_figures_of_clients_are_told_where_they_differ_from_the_wholes() -> None:
    measures = {
        "Accuracy/Global": 0.9,
        "Accuracy/PerClient": 0.8,
        "UploadBytes/Global": 7.0,
        "UploadBytes/PerClient": 7.0,
    }
    assert figures(measures) == "Accuracy/Global 0.9, Accuracy/PerClient 0.8, UploadBytes/Global 7"
