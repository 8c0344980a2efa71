"""Asking a model: bounded tries, bounded tools, and only the last mistake in the prompt."""

import pytest
from scripted_model import ScriptedModel

from fedwright_agents.model_mind.conversation import MENDS, TOOL_TURNS, Conversation, NoAnswer
from fedwright_agents.model_mind.model import Call, ModelError, Reply
from fedwright_agents.model_mind.reading import Misread


def number(text: str) -> int:
    if not text.isdigit():
        raise Misread(f"{text!r} is no number.")
    return int(text)


class Adder:
    """A tool."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def declarations(self) -> list[dict[str, object]]:
        return [{"type": "function", "function": {"name": "add", "parameters": {}}}]

    def call(self, name: str, arguments: str) -> str:
        self.called.append(f"{name} {arguments}")
        return "3"


def test_a_wrong_answer_is_told_and_asked_again() -> None:
    model = ScriptedModel(["seven", "7"])
    talk = Conversation(model, "shared", "task")
    assert talk.answer(number) == 7
    assert "'seven' is no number" in model.last_words
    assert talk.usage.tokens == 20 and talk.usage.calls == 2


def test_twenty_wrong_answers_cost_a_few_calls_of_bounded_length() -> None:
    model = ScriptedModel([f"wrong {n}" for n in range(20)])
    with pytest.raises(NoAnswer, match="no number"):
        Conversation(model, "shared", "task").answer(number)
    assert len(model.heard) == 1 + MENDS
    assert {len(messages) for messages in model.heard[1:]} == {4}, "earlier mistakes are not sent again"


@pytest.mark.parametrize("reply", [Reply(""), Reply("  \n"), Reply("1234", cut=True)], ids=["empty", "blank", "cut"])
def test_an_empty_or_cut_answer_is_no_answer(reply: Reply) -> None:
    model = ScriptedModel([reply, "5"])
    assert Conversation(model, "shared", "task").answer(number) == 5


def test_a_refusal_ends_as_no_answer_with_its_reason() -> None:
    model = ScriptedModel(["I cannot help with that."])
    with pytest.raises(NoAnswer, match="cannot help"):
        Conversation(model, "shared", "task").answer(number)


def test_tools_are_called_and_their_results_told() -> None:
    model, adder = ScriptedModel([Reply("", (Call("1", "add", '{"a": 1}'),)), "3"]), Adder()
    assert Conversation(model, "shared", "task", adder).answer(number) == 3
    assert adder.called == ['add {"a": 1}']
    assert model.heard[-1][-1] == {"role": "tool", "tool_call_id": "1", "content": "3"}


def test_a_model_that_only_calls_tools_is_stopped() -> None:
    model, adder = ScriptedModel([Reply("", (Call("1", "add", "{}"),))]), Adder()
    with pytest.raises(NoAnswer, match="empty"):
        Conversation(model, "shared", "task", adder).answer(number)
    assert len(adder.called) == TOOL_TURNS
    assert not model.offered[-1]


def test_a_model_without_tools_that_calls_one_is_told_nothing_of_it() -> None:
    model = ScriptedModel([Reply("", (Call("1", "shell", "rm"),)), "4"])
    assert Conversation(model, "shared", "task").answer(number) == 4


def test_what_the_gateway_refuses_goes_up() -> None:
    model = ScriptedModel([ModelError("budget_exhausted", "nothing is left")])
    with pytest.raises(ModelError, match="budget_exhausted"):
        Conversation(model, "shared", "task").answer(number)
