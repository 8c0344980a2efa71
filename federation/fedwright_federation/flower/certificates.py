"""A federation's certificates, keys and secrets as files of one machine: made once, kept, renewed in time.

Private keys are readable by their owner alone.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from fedwright_crds import certificates
from fedwright_crds.certificates import Pair
from fedwright_federation.flower.home import Home
from fedwright_federation.packaging.files import write_whole


def ensure_certificates(home: Home, names: Sequence[str], days: int, now: datetime | None = None) -> bool:
    """The authority and the server's certificate for these host names and addresses; whether the latter is new."""
    now = now or datetime.now(UTC)
    renewed = _ensure_authority(home, now, days)
    if not renewed and home.certificate_key.exists() and not _due(home.certificate, now):
        return False
    authority = Pair(home.authority_key.read_bytes(), home.authority.read_bytes())
    server = certificates.new_server(authority, names, days, now)
    write_whole(home.certificate_key, server.key, private=True)
    write_whole(home.certificate, server.certificate)
    return True


def expires_at(certificate: Path) -> datetime:
    return certificates.ends_at(certificate.read_bytes())


def ensure_node_key(path: Path) -> bytes:
    """The node's key, made where there is none; its public half as PEM."""
    if not path.exists():
        write_whole(path, certificates.new_node_key(), private=True)
    return certificates.public_key_of(path.read_bytes())


def load_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError where the file holds another kind of key."""
    try:
        return certificates.load_node_key(path.read_bytes())
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from problem


def ensure_secret(path: Path) -> str:
    """A random word shared by two processes."""
    if not path.exists():
        write_whole(path, certificates.new_secret().encode(), private=True)
    return path.read_text()


def _ensure_authority(home: Home, now: datetime, days: int) -> bool:
    if home.authority_key.exists() and not _due(home.authority, now):
        return False
    key = home.authority_key.read_bytes() if home.authority_key.exists() else None
    authority = certificates.new_authority(days, now, key)
    if key is None:
        write_whole(home.authority_key, authority.key, private=True)
    write_whole(home.authority, authority.certificate)
    return True


def _due(path: Path, now: datetime) -> bool:
    return not path.exists() or certificates.is_due(path.read_bytes(), now)
