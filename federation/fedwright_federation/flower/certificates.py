"""A federation's own certificate authority, its server certificate, and the keys of its nodes.

Everything is made once and kept; a certificate is made again when less than a third of its life is left, over the same
key for the authority, so that what trusts it goes on trusting it. Private keys are readable by their owner alone.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedwright_federation.flower.home import Home
from fedwright_federation.packaging.files import write_whole

AUTHORITY_DAYS = 3650
BACKDATED = timedelta(minutes=5)
"""Clocks differ a little between machines."""
SECRET_BYTES = 32


def ensure_certificates(home: Home, names: Sequence[str], days: int, now: datetime | None = None) -> bool:
    """The authority and the server's certificate for these host names and addresses; whether the latter is new."""
    now = now or datetime.now(UTC)
    renewed = _ensure_authority(home, now, days)
    if not renewed and home.certificate_key.exists() and not _due(home.certificate, now):
        return False
    _issue(home, names, days, now)
    return True


def expires_at(certificate: Path) -> datetime:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def ensure_node_key(path: Path) -> bytes:
    """The node's private key (NIST P-384, OpenSSH), and its public key as PEM SubjectPublicKeyInfo."""
    if not path.exists():
        key = ec.generate_private_key(ec.SECP384R1())
        write_whole(path, _private(key, serialization.PrivateFormat.OpenSSH), private=True)
    public = load_node_key(path).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError where the file holds another kind of key."""
    key = serialization.load_ssh_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no elliptic-curve key; delete it and a new one is made")
    return key


def ensure_secret(path: Path) -> str:
    """A random word shared by two processes."""
    if not path.exists():
        write_whole(path, secrets.token_hex(SECRET_BYTES).encode(), private=True)
    return path.read_text()


def _ensure_authority(home: Home, now: datetime, days: int) -> bool:
    if home.authority_key.exists() and not _due(home.authority, now):
        return False
    if home.authority_key.exists():
        key = _load(home.authority_key)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        write_whole(home.authority_key, _private(key), private=True)
    name = _name("authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, key.public_key(), now, AUTHORITY_DAYS + days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    _write(home.authority, builder.sign(key, hashes.SHA256()))
    return True


def _issue(home: Home, names: Sequence[str], days: int, now: datetime) -> None:
    authority = x509.load_pem_x509_certificate(home.authority.read_bytes())
    signer = _load(home.authority_key)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name("superlink"), authority.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    write_whole(home.certificate_key, _private(key), private=True)
    _write(home.certificate, builder.sign(signer, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _due(path: Path, now: datetime) -> bool:
    if not path.exists():
        return True
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < life / 3


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fedwright"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), f"{path} was written by another program"
    return key


def _private(
    key: ec.EllipticCurvePrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write(path: Path, certificate: x509.Certificate) -> None:
    write_whole(path, certificate.public_bytes(serialization.Encoding.PEM))
