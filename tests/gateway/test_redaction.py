"""Secrets are cut out by value and by form, and what is none stays as it was."""

import logging
from time import monotonic

import pytest
from gateways import SECRET, allowance

from fedwright_agents.gateway.redaction import RedactingFormatter, Redactor, secrets_of
from fedwright_crds.allowance import sign

KEYS = {
    "openai": "sk-proj-abc123def456ghi789jkl",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": "ghp_" + "a1" * 20,
    "google": "AIza" + "b" * 35,
    "slack": "xoxb-1234567890-abc",
    "hugging-face": "hf_" + "c" * 32,
    "allowance": sign(allowance("fast"), SECRET),
    "private": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "cut private": "-----BEGIN PRIVATE KEY-----\nMIIE",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_keys_are_known_by_their_form(key: str) -> None:
    assert Redactor([]).text(f'say "{key}"').startswith('say "[redacted]')
    assert key[8:] not in Redactor([]).text(f"x={key}")


def test_headers_lose_what_they_carry() -> None:
    text = "Authorization: Bearer abcdefghijklmnopqrstuvwxyz\nauthorization: basic dXNlcjpwYXNzd29yZC1sb25n"
    assert Redactor([]).text(text) == "Authorization: Bearer [redacted]\nauthorization: basic [redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "scikit-learn, sk-learn and task-runner-with-a-long-name",
        "api_key = os.environ['OPENAI_API_KEY']",
        "def bearer(token): return f'Bearer {token}'",
        "sha256:98bd7dc299b3f9f1d4e8df78fc601af875278761e32f2e1a69bc90a487bb0344",
        "the bearer of this ring, a basic truth",
    ],
)
def test_code_and_prose_stay(text: str) -> None:
    assert Redactor(["none", ""]).text(text) == text


def test_values_go_wherever_they_stand_the_longest_first() -> None:
    redactor = Redactor(["sentinel-key", "sentinel-key-2", "regex.*chars"])
    value = {"a sentinel-key": ["x sentinel-key-2 y", {"b": ("regex.*chars", 1, None, True)}]}
    assert redactor.value(value) == {"a [redacted]": ["x [redacted] y", {"b": ["[redacted]", 1, None, True]}]}


def test_variables_that_speak_of_secrets_are_secrets() -> None:
    environment = {
        "SOME_API_KEY": "abcdefgh1",
        "DB_PASSWORD": "abcdefgh2",
        "HOME": "/root",
        "AWS_SESSION_TOKEN": "abcdefgh3",
    }
    assert secrets_of(environment) == ["abcdefgh1", "abcdefgh2", "abcdefgh3"]


def test_a_traceback_in_the_log_is_clean_too() -> None:
    formatter = RedactingFormatter(Redactor(["sentinel-key"]))
    try:
        raise ValueError("it was sentinel-key")
    except ValueError as problem:
        information = (type(problem), problem, problem.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "with %s", ("sentinel-key",), information)
    line = formatter.format(record)
    assert "ValueError: it was [redacted]" in line
    assert "sentinel-key" not in line.replace('raise ValueError("it was sentinel-key")', "")


PIECES = (
    "sk-",
    "eyJ-",
    f"eyJ{'a' * 20}.",
    "xoxb-",
    "bearer ",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "AIza-",
    "hf_",
)


@pytest.mark.parametrize("piece", PIECES)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (4 * 2**20 // len(piece))
    started = monotonic()
    Redactor(["sentinel-key"]).text(text)
    assert monotonic() - started < 10
