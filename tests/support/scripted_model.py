"""A language model that answers by a script, for tests of what surrounds it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedwright_agents.model_mind.model import Message, ModelError, Reply

Line = str | Reply | ModelError | Callable[[Sequence[Message]], str | Reply]


@dataclass
class ScriptedModel:
    """Its lines in order, the last one again and again; `heard` is what it was asked."""

    lines: Sequence[Line]
    heard: list[Sequence[Message]] = field(default_factory=list)
    offered: list[Sequence[Mapping[str, Any]]] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)

    def ask(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        probabilities: bool = False,
        sample: int = 0,
    ) -> Reply:
        line = self.lines[min(len(self.heard), len(self.lines) - 1)]
        self.heard.append(list(messages))
        self.offered.append(tools)
        self.samples.append(sample)
        if isinstance(line, ModelError):
            raise line
        said = line(messages) if callable(line) else line
        return Reply(said, spent=10) if isinstance(said, str) else said

    @property
    def last_words(self) -> str:
        """What it was told last."""
        return str(self.heard[-1][-1]["content"])
