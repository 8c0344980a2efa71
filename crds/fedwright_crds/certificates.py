"""A federation's own certificate authority, its server's certificate, the keys of its nodes: as bytes, wherever they are kept.

Nothing here reads or writes a file, a Secret or the clock. A certificate is due when less than a third of its life is left;
an authority is made again over its own key, so that whoever trusts it goes on trusting what it signed.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
BACKDATED = timedelta(minutes=5)
"""Clocks differ a little between machines."""
SECRET_BYTES = 32


@dataclass(frozen=True)
class Pair:
    """A private key and a certificate over it, both PEM."""

    key: bytes
    certificate: bytes


def new_authority(days: int, now: datetime, key: bytes | None = None) -> Pair:
    """An authority that outlives server certificates of so many days; over this key, or a new one."""
    private = _load(key) if key else ec.generate_private_key(ec.SECP256R1())
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
        _builder(name, name, private.public_key(), now, AUTHORITY_DAYS + days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )
    return Pair(key or _private(private), _pem(builder.sign(private, hashes.SHA256())))


def new_server(authority: Pair, names: Sequence[str], days: int, now: datetime) -> Pair:
    """A certificate for these host names and addresses, over a new key."""
    issuer, signer = x509.load_pem_x509_certificate(authority.certificate), _load(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name("superlink"), issuer.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return Pair(_private(key), _pem(builder.sign(signer, hashes.SHA256())))


def is_due(certificate: bytes, now: datetime) -> bool:
    """Whether less than a third of its life is left."""
    read = x509.load_pem_x509_certificate(certificate)
    life = read.not_valid_after_utc - read.not_valid_before_utc
    return read.not_valid_after_utc - now < life / 3


def ends_at(certificate: bytes) -> datetime:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def names_of(certificate: bytes) -> frozenset[str]:
    """The host names and addresses that it is for."""
    names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return frozenset(str(one.value) for one in names.value)


def new_node_key() -> bytes:
    """A node's private key: NIST P-384, as OpenSSH writes it, which is how a SuperNode reads it."""
    return _private(ec.generate_private_key(ec.SECP384R1()), serialization.PrivateFormat.OpenSSH)


def load_node_key(key: bytes) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError where it is of another kind."""
    loaded = serialization.load_ssh_private_key(key, None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ValueError("this is no elliptic-curve key; delete it and a new one is made")
    return loaded


def public_key_of(key: bytes) -> bytes:
    """Of a node's private key, as PEM SubjectPublicKeyInfo, which is how a SuperLink takes it."""
    public = load_node_key(key).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def new_secret() -> str:
    """A random word shared by two processes."""
    return secrets.token_hex(SECRET_BYTES)


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


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fedwright"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(key: bytes) -> ec.EllipticCurvePrivateKey:
    loaded = serialization.load_pem_private_key(key, None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key was written by another program; delete it and a new one is made")
    return loaded


def _private(
    key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8
) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
