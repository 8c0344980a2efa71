"""Allowances: only what was signed, whole and in time, allows anything."""

import base64
import json
from pathlib import Path

import pytest
from gateways import SECRET, allowance
from hypothesis import given
from hypothesis import strategies as st

from fedwright_crds.allowance import (
    Allowance,
    AllowanceError,
    ExpiredAllowanceError,
    ForgedAllowanceError,
    MalformedAllowanceError,
    read_secret,
    sign,
    verify,
)

HOLDER = allowance("fast", candidate="digits-1", request_limits={"tokens": 20000, "money_usd": 0.5}, expires_at=1000)
TOKEN = sign(HOLDER, SECRET)


def test_what_was_signed_is_what_is_read() -> None:
    assert verify(TOKEN, SECRET, now=999.9) == HOLDER


def test_a_token_is_fit_for_a_header() -> None:
    assert TOKEN.isascii()
    assert not set(TOKEN) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize("now", [1000, 1000.5, 10**9])
def test_it_ends_on_time(now: float) -> None:
    with pytest.raises(ExpiredAllowanceError):
        verify(TOKEN, SECRET, now)


def test_another_secret_forges() -> None:
    with pytest.raises(ForgedAllowanceError):
        verify(sign(HOLDER, b"another-secret-of-the-tests-0123"), SECRET, 0)


def test_a_raised_budget_is_forged() -> None:
    payload, _, signature = TOKEN.partition(".")
    raised = json.loads(base64.urlsafe_b64decode(payload + "=="))
    raised["requestLimits"]["tokens"] = 10**9
    forged = base64.urlsafe_b64encode(json.dumps(raised).encode()).rstrip(b"=").decode()
    with pytest.raises(ForgedAllowanceError):
        verify(f"{forged}.{signature}", SECRET, 0)


@given(place=st.integers(0, len(TOKEN) - 1), character=st.characters())
def test_no_other_character_is_taken_anywhere(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed != TOKEN:
        with pytest.raises(AllowanceError):
            verify(changed, SECRET, 0)


@given(token=st.text(max_size=200))
def test_text_is_no_allowance(token: str) -> None:
    with pytest.raises(AllowanceError):
        verify(token, SECRET, 0)


@pytest.mark.parametrize("token", ["", ".", "a.b.c", "sk-test", TOKEN + "=", "A" * 10**6 + ".x", TOKEN + "."])
def test_near_misses_are_refused_in_words_that_repeat_nothing(token: str) -> None:
    with pytest.raises(AllowanceError) as refusal:
        verify(token, SECRET, 0)
    assert token[:8] not in str(refusal.value) or len(token) < 8


def test_what_is_signed_but_is_none_is_malformed() -> None:
    """A later release's, say."""

    class Later(Allowance):
        mood: str = "good"

    later = Later.model_validate(HOLDER.model_dump())
    with pytest.raises(MalformedAllowanceError):
        verify(sign(later, SECRET), SECRET, 0)


@pytest.mark.parametrize("secret", [b"", b"short", b" " * 40])
def test_a_secret_that_can_be_guessed_is_refused(secret: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(secret)
    with pytest.raises(ValueError, match="at least 16 random ones"):
        read_secret(tmp_path / "secret")


def test_both_sides_read_a_file_alike(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    assert read_secret(tmp_path / "secret") == SECRET
