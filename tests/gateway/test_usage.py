"""What an attempt may cost is never less than what it does, for any text, tokenizer and price."""

import importlib.util
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from fedwright_agents.gateway.chat import prompt_bytes
from fedwright_agents.gateway.usage import Usage, believable, charge, worst_case
from fedwright_agents.gateway.wire import retry_after
from fedwright_crds.profiles import ModelProfile, Price

texts = st.text(max_size=200) | st.sampled_from(
    [" " * 500, "ﷺ" * 50, "🧑‍🤝‍🧑" * 20, "\x00\x1f" * 50, "0123456789" * 30, "तमिழ்日本語" * 20]
)
prices = st.floats(0, 1000, allow_nan=False)


@pytest.fixture(scope="module")
def tokenizer() -> tiktoken.Encoding:
    """cl100k_base, from the copy that litellm ships: no download."""
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "litellm_core_utils", "tokenizers")
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return tiktoken.get_encoding("cl100k_base")
    finally:
        os.environ.pop("TIKTOKEN_CACHE_DIR")
        if before is not None:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


@settings(max_examples=60, deadline=None)
@given(said=st.lists(texts, min_size=1, max_size=5))
def test_the_bound_holds_for_a_real_tokenizer_and_for_one_that_counts_bytes(
    said: list[str], tokenizer: tiktoken.Encoding
) -> None:
    body = {"messages": [{"role": "user", "content": text} for text in said], "max_tokens": 10}
    template = 10 * len(said)
    real = sum(len(tokenizer.encode(text, disallowed_special=())) for text in said) + template
    bytewise = sum(len(text.encode()) for text in said) + template
    assert real <= bytewise <= prompt_bytes(body)


def test_a_tool_costs_no_less_than_all_its_words() -> None:
    tool = {"type": "function", "function": {"name": "look", "description": "Look é", "parameters": {"type": "object"}}}
    alone = {"messages": [{"role": "user", "content": "x"}]}
    assert (
        prompt_bytes(alone | {"tools": [tool]}) - prompt_bytes(alone)
        >= len(json.dumps(tool, ensure_ascii=False).encode()) - 10
    )


def profile(**changes: object) -> ModelProfile:
    return ModelProfile.model_validate({"name": "fast", "model": "openai/m"} | changes)


@given(prices, prices, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 8))
def test_the_worst_case_is_the_worst(input_usd: float, output_usd: float, prompt: int, completion: int, n: int) -> None:
    priced = profile(price=Price(input_usd=input_usd, output_usd=output_usd))
    body = {"messages": [{"role": "user", "content": "x" * 100}], "max_tokens": 50, "n": n}
    most = worst_case(priced, body, 1.5)
    real = charge(priced, Usage(min(prompt, 100), min(completion, 50 * n)), 1.4)
    for dimension in ("tokens", "nano_usd", "calls", "milliseconds"):
        assert getattr(real, dimension) <= getattr(most, dimension)


def test_a_price_is_what_was_written() -> None:
    """0.1 USD a million is 100 nano-dollars a token, to the last one."""
    cheap = profile(price=Price(input_usd=0.1, output_usd=0.3))
    assert charge(cheap, Usage(3, 0), 0).nano_usd == 300
    assert charge(cheap, Usage(10**6, 10**6), 0).nano_usd == int(Decimal("0.4") * 10**9)
    assert charge(profile(price=Price(input_usd=0.00001, output_usd=0)), Usage(1, 0), 0).nano_usd == 1, "rounded up"
    assert charge(profile(), Usage(10**6, 10**6), 0).nano_usd == 0


@pytest.mark.parametrize(
    ("prompt", "completion", "size", "believed"),
    [
        (5, 3, 12, True),
        (5, 0, 0, True),
        (0, 3, 12, False),
        (5, -1, 0, False),
        (5, 0, 12, False),
        (5, 1, 129, False),
        (5, 2, 129, True),
        ("5", 3, 12, False),
        (5.0, 3, 12, False),
        (True, 3, 12, False),
        (None, None, 12, False),
        (10**30, 3, 12, True),
    ],
)
def test_what_cannot_be_true_is_not_believed(prompt: object, completion: object, size: int, believed: bool) -> None:
    assert (believable(prompt, completion, size) is not None) == believed


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Wed, 25 Nov 2026 12:00:10 GMT"}, 10.0),
        ({"retry-after": "Wed, 25 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "Wed, 25 Nov 2026 12:00:10"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "²"}, None),
    ],
)
def test_when_to_try_again(headers: dict[str, str], seconds: float | None) -> None:
    from datetime import UTC, datetime

    assert retry_after(headers, datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)) == seconds
