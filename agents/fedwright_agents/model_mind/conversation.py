"""One exchange with a model: ask, let it call tools, read the answer, say what was wrong with it; all of it bounded.

Only the last answer that could not be read stays in the messages: a model that fails often must not cost more each time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from fedwright_agents.model_mind.model import Message, Model, Reply
from fedwright_agents.model_mind.reading import Misread
from fedwright_crds.documents import Usage

MENDS = 3
"""How often a model may try again after an answer that could not be read."""
TOOL_TURNS = 6
LONGEST_KEPT = 24_000
"""Characters of an unreadable answer that the model is shown again."""
T = TypeVar("T")


class NoAnswer(Exception):  # noqa: N818 - the role decides what it means
    """The model gave nothing that can be read; the text says what it gave instead."""


class Toolbox(Protocol):
    def declarations(self) -> Sequence[Mapping[str, Any]]:
        """As in OpenAI's `tools`."""
        ...

    def call(self, name: str, arguments: str) -> str:
        """The result as text; a wrong name or wrong arguments are told in it."""
        ...


@dataclass
class Conversation:
    """`shared` comes first in every prompt of a request, so that providers can cache it."""

    model: Model
    shared: str
    task: str
    tools: Toolbox | None = None
    usage: Usage = field(default_factory=Usage)
    _called: list[Message] = field(default_factory=list)

    def answer(self, read: Callable[[str], T], *, sample: int = 0) -> T:
        """What `read` makes of the answer. Raises NoAnswer, and ModelError from the model."""
        wrong: list[Message] = []
        problem = ""
        for _ in range(1 + MENDS):
            reply = self._reply(wrong, sample)
            try:
                return read(_whole(reply))
            except Misread as error:
                problem, again = str(error), error.again
            wrong = [
                {"role": "assistant", "content": reply.text[:LONGEST_KEPT] or "(nothing)"},
                {"role": "user", "content": f"{problem}\n{again}"},
            ]
        raise NoAnswer(f"no usable answer in {1 + MENDS} attempts; the last one: {problem}")

    @property
    def looked_up(self) -> str:
        """All that tools have told so far."""
        return "\n".join(str(one["content"]) for one in self._called if one["role"] == "tool")

    def _reply(self, wrong: Sequence[Message], sample: int) -> Reply:
        """The reply to all so far, after as many tool calls as the model wants and is allowed."""
        while True:
            declared = self.tools.declarations() if self.tools and len(self._called) < 2 * TOOL_TURNS else ()
            reply = self.ask(wrong, tools=declared, sample=sample)
            if not reply.calls or not declared:
                return reply
            self._call(reply)

    def ask(
        self,
        wrong: Sequence[Message] = (),
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        probabilities: bool = False,
        sample: int = 0,
    ) -> Reply:
        """One call of the model, counted."""
        messages: list[Message] = [{"role": "system", "content": self.shared}, {"role": "user", "content": self.task}]
        reply = self.model.ask(
            [*messages, *self._called, *wrong], tools=tools, probabilities=probabilities, sample=sample
        )
        self.usage = Usage(tokens=self.usage.tokens + reply.spent, calls=self.usage.calls + 1)
        return reply

    def _call(self, reply: Reply) -> None:
        assert self.tools is not None
        calls = [
            {"id": one.id, "type": "function", "function": {"name": one.name, "arguments": one.arguments}}
            for one in reply.calls
        ]
        self._called.append({"role": "assistant", "content": reply.text or None, "tool_calls": calls})
        for one in reply.calls:
            result = self.tools.call(one.name, one.arguments)
            self._called.append({"role": "tool", "tool_call_id": one.id, "content": result})


def _whole(reply: Reply) -> str:
    if reply.cut:
        raise Misread("The answer was cut off at the greatest length. Be much briefer.")
    if not reply.text.strip():
        raise Misread("The answer was empty.")
    return reply.text
