"""Artifacts: bytes under the name of their own digest, written once, checked on every read from disk."""

from pathlib import Path

from fedwright_crds.base import digest_of
from fedwright_crds.work import MIB
from fedwright_operator.local.files import write_once
from fedwright_operator.shell.remembered import Remembered

LARGEST = 256 * MIB
REMEMBERED = 64 * MIB
"""Bytes of artifacts that are kept once they have been checked."""


class Artifacts:
    """The artifacts of one home, safe to use from many threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._memory = Remembered(REMEMBERED)

    def write(self, data: bytes) -> str:
        """Keep the bytes; their digest. Raises ValueError beyond the greatest size."""
        if len(data) > LARGEST:
            raise ValueError(f"an artifact of {len(data)} bytes is over the limit of {LARGEST}")
        digest = digest_of(data)
        path = self.path(digest)
        if not path.exists():
            write_once(path, data)
        return digest

    def read(self, digest: str) -> bytes:
        """The bytes of that digest. Raises KeyError if they are gone or no longer what their name says."""
        if (known := self._memory.get(digest)) is not None:
            return known
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise KeyError(f"artifact {digest} is not in {self._root}") from None
        if digest_of(data) != digest:
            raise KeyError(f"artifact {digest} in {self._root} was changed on disk; remove that file")
        self._memory.put(digest, data)
        return data

    def path(self, digest: str) -> Path:
        """Where an artifact lies, or would."""
        plain = digest.removeprefix("sha256:")
        if len(plain) != 64 or not set(plain) <= set("0123456789abcdef"):
            raise KeyError(f"{digest!r} is no digest")
        return self._root / plain[:2] / plain

    def digests(self) -> frozenset[str]:
        return frozenset(f"sha256:{path.name}" for path in self._root.glob("[0-9a-f][0-9a-f]/[!.]*"))

    def size(self, digest: str) -> int:
        return self.path(digest).stat().st_size

    def remove(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)
        self._memory.drop(digest)
