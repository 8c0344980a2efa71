"""A federation's keys and certificates: made once, private, trusted by each other, renewed in time."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, uses_nist_ec_curve

from fedwright_federation.flower.certificates import (
    ensure_certificates,
    ensure_node_key,
    ensure_secret,
    expires_at,
    load_node_key,
)
from fedwright_federation.flower.home import Home

DAYS = 90
NOW = datetime.now(UTC)
NAMES = ("localhost", "127.0.0.1", "superlink.example")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    assert ensure_certificates(home, NAMES, DAYS, NOW)
    return home


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(home: Home, name: str, when: datetime = NOW) -> None:
    store = Store([certificate(home.authority)])
    verifier = PolicyBuilder().store(store).time(when).build_server_verifier(x509.DNSName(name))
    verifier.verify(certificate(home.certificate), [])


def test_the_authority_vouches_for_the_server_by_its_names(home: Home) -> None:
    verify(home, "localhost")
    verify(home, "superlink.example")
    with pytest.raises(x509.verification.VerificationError):
        verify(home, "elsewhere.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(home.certificate, home.certificate_key)


def test_they_are_made_once(home: Home) -> None:
    before = home.certificate.read_bytes(), home.authority.read_bytes()
    assert not ensure_certificates(home, NAMES, DAYS, NOW + timedelta(days=DAYS / 2))
    assert before == (home.certificate.read_bytes(), home.authority.read_bytes())


def test_a_server_certificate_is_renewed_in_its_last_third_and_the_authority_stays(home: Home) -> None:
    authority, later = home.authority.read_bytes(), NOW + timedelta(days=DAYS * 0.7)
    assert ensure_certificates(home, NAMES, DAYS, later)
    assert home.authority.read_bytes() == authority
    assert expires_at(home.certificate) > NOW + timedelta(days=DAYS * 1.6)
    verify(home, "localhost", later)


def test_an_authority_is_renewed_over_its_key(home: Home) -> None:
    key, later = home.authority_key.read_bytes(), NOW + timedelta(days=3000)
    assert ensure_certificates(home, NAMES, DAYS, later)
    assert home.authority_key.read_bytes() == key
    verify(home, "localhost", later)


def test_private_files_are_their_owners_alone(home: Home) -> None:
    ensure_secret(home.control_token)
    ensure_node_key(home.node(0).key)
    for path in (home.authority_key, home.certificate_key, home.control_token, home.node(0).key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_node_key_is_one_that_flower_takes_and_stays(home: Home) -> None:
    public = ensure_node_key(home.node(0).key)
    assert uses_nist_ec_curve(bytes_to_public_key(public))
    assert ensure_node_key(home.node(0).key) == public != ensure_node_key(home.node(1).key)
    assert load_node_key(home.node(0).key).key_size == 384


def test_secrets_are_made_once_and_differ(home: Home) -> None:
    assert ensure_secret(home.control_token) == ensure_secret(home.control_token)
    assert ensure_secret(home.control_token) != ensure_secret(home.executor_secret)
