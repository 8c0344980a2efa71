"""Prompts as files: rendered strictly, with all that comes from outside marked as data."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from statistics import fmean
from textwrap import shorten
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from fedwright_crds.base import Strict
from fedwright_crds.candidate import TrialScore

_PROMPTS = files(__package__) / "prompts"
MOST_TRIALS = 12
"""Of one candidate and length that are told: many trials of many candidates would fill a prompt."""
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def render(name: str, **values: Any) -> str:
    """The prompt of this name. An undefined value is an error, never an empty word."""
    return _environment().get_template(name).render(**values).strip()


def as_data(text: str) -> str:
    """A JSON string that cannot close the tag around it, nor hide what a person would not see."""
    return json.dumps(_UNSEEN.sub(" ", text), ensure_ascii=False).replace("<", "\\u003c")


def compact(value: Strict | Mapping[str, Any]) -> str:
    """On one line, without what is absent."""
    wire = value.to_wire() if isinstance(value, Strict) else dict(value)
    return json.dumps(wire, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def figures(measures: Mapping[str, float]) -> str:
    """Those of clients only where they differ from the whole's."""
    told = {
        name: value for name, value in measures.items() if measures.get(_of_all(name)) != value or _of_all(name) == name
    }
    return ", ".join(f"{name} {value:.4g}" for name, value in told.items())


def trials(found: Sequence[TrialScore]) -> str:
    """Each with its objective, by length, less what all have in common: `trials in 5 rounds {"lr":0.1} 0.61, {"lr":0.3} 0.64`."""
    names = sorted({name for one in found for name in one.hyperparameters})
    varied = [name for name in names if len({one.hyperparameters.get(name) for one in found}) > 1]
    lengths = sorted({one.rounds for one in found})
    told = [
        f"in {rounds} rounds {_scores([one for one in found if one.rounds == rounds], varied)}" for rounds in lengths
    ]
    return "trials " + "; ".join(told)


def _scores(found: Iterable[TrialScore], names: Sequence[str]) -> str:
    """The mean of each configuration over its seeds; of many configurations the latest, which the sampler chose knowing the others."""
    scores: dict[str, list[float]] = {}
    for one in found:
        values = compact({name: one.hyperparameters[name] for name in names if name in one.hyperparameters})
        scores.setdefault(values, []).extend([] if one.value is None else [one.value])
    lines = [f"{values} {fmean(at):.4g}" if at else f"{values} failed" for values, at in scores.items()]
    before = len(lines) - MOST_TRIALS
    return ", ".join([f"{before} before these", *lines[before:]] if before > 0 else lines)


def number(value: float) -> str:
    """As short as it can be written."""
    return f"{value:g}"


def _of_all(name: str) -> str:
    return name.replace("/PerClient", "/Global")


def brief(text: str, most: int) -> str:
    """At most so many characters, and no word cut: the end says where there is more."""
    return shorten(text, most, placeholder=" ...")


def fenced(source: str, name: str) -> str:
    """In a fence longer than any in the source, which is a model's own text and may hold some."""
    longest = max((len(run) for run in re.findall(r"`+", source)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python {name}\n{source.rstrip()}\n{fence}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {
        "data": as_data,
        "compact": compact,
        "figures": figures,
        "trials": trials,
        "number": number,
        "fenced": fenced,
        "brief": brief,
    }
    return environment


def _source(name: str) -> str:
    return (_PROMPTS / f"{name}.j2").read_text(encoding="utf-8")
