"""Secrets out of everything that leaves the gateway: by value for those that it knows, by form for those it does not.

What comes in is cleaned as well, before it is sent, digested or written down: so a secret in a prompt goes to no provider,
and a transcript's digest is that of the text in it.
"""

import logging
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"
LEAST_CHARACTERS = 8
"""A shorter 'key' is a placeholder such as `none`; to cut it out everywhere would garble text."""

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)

# Forms with little chance of standing for anything else, since code and prose pass through here. Each is looked for where a
# run of its characters begins and nowhere inside, so that no text, however made, takes more than one pass.
FORMS = re.compile(
    r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}"
    r"|\bAIza[0-9A-Za-z_-]{35}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bhf_[A-Za-z0-9]{30,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]*)?"
    r"|(?<=\bbearer )[A-Za-z0-9._~+/=-]{20,}"
    r"|(?<=\bbasic )[A-Za-z0-9+/]{20,}={0,2}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.IGNORECASE,
)


class Redactor:
    """Knows secrets by value. It must be given every one that the process holds."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: one secret may begin with another.
        known = sorted({one for one in secrets if len(one) >= LEAST_CHARACTERS}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        if self._known:
            text = self._known.sub(REDACTED, text)
        return FORMS.sub(REDACTED, text)

    def value(self, value: Any) -> Any:
        """A JSON value with every text in it, keys of maps too, cleaned."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(name)): self.value(part) for name, part in value.items()}
            case list() | tuple():
                return [self.value(part) for part in value]
            case _:
                return value


def spellings(key: str) -> list[str]:
    """A key as it may stand in what a server or a client's error repeats: in a URL, or in a header of basic authentication."""
    return [key, quote(key, safe=""), quote_plus(key), b64encode(key.encode()).decode()]


class RedactingFormatter(logging.Formatter):
    """Cleans the whole line, traceback included."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of variables whose names speak of secrets: a provider's client may find them without a profile's word."""
    return [value for name, value in environment.items() if SECRET_NAME.search(name)]
