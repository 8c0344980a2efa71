"""A federation's private things: made once, kept, renewed in time; a node's key never goes to another node."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st

from fedwright_operator.cluster.fleet_keys import Needs, Vault, checksums, groups_in, keys_of, public_keys, settled

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DAYS = 90
NAMES = ("fed-a-superlink", "fed-a-superlink.hospital.svc", "localhost", "127.0.0.1")


def needs(groups: dict[str, int], names: tuple[str, ...] = NAMES) -> Needs:
    return Needs(names, groups, DAYS, b"{}")


def after(days: float) -> datetime:
    return NOW + timedelta(days=days)


@pytest.fixture(scope="module")
def vault() -> Vault:
    return settled({}, needs({"ward": 2, "lab": 1}), NOW)


def test_all_is_made_where_nothing_is(vault: Vault) -> None:
    assert vault.keys() == {"authority", "tls", "control", "serverapp", "keys-ward", "keys-lab"}
    assert vault["keys-ward"].keys() == {"0", "1"} and groups_in(vault) == {"ward", "lab"}


def test_what_is_there_stays(vault: Vault) -> None:
    assert settled(vault, needs({"ward": 2, "lab": 1}), after(DAYS / 2)) == vault


def test_the_authority_vouches_for_the_server_by_all_its_names(vault: Vault) -> None:
    store = Store([x509.load_pem_x509_certificate(vault["authority"]["ca.crt"])])
    server = x509.load_pem_x509_certificate(vault["tls"]["tls.crt"])
    for name in NAMES[:3]:
        PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(name)).verify(server, [])


def test_the_server_s_certificate_is_renewed_in_its_last_third_and_pods_are_told(vault: Vault) -> None:
    later = settled(vault, needs({"ward": 2, "lab": 1}), after(DAYS * 0.7))
    assert later["authority"] == vault["authority"] and later["tls"]["tls.crt"] != vault["tls"]["tls.crt"]
    assert checksums(later)["server"] != checksums(vault)["server"]
    assert checksums(later)["authority"] == checksums(vault)["authority"]


def test_another_name_is_another_certificate(vault: Vault) -> None:
    later = settled(vault, needs({"ward": 2, "lab": 1}, (*NAMES, "fl.example.org")), NOW)
    assert later["tls"] != vault["tls"] and later["authority"] == vault["authority"]


def test_an_authority_is_renewed_over_its_key(vault: Vault) -> None:
    later = settled(vault, needs({"ward": 2, "lab": 1}), after(3000))
    assert later["authority"]["ca.key"] == vault["authority"]["ca.key"]
    assert later["authority"]["ca.crt"] != vault["authority"]["ca.crt"] == vault["tls"]["ca.crt"]


def test_the_token_and_the_keys_outlive_all_renewals(vault: Vault) -> None:
    later = settled(vault, needs({"ward": 2, "lab": 1}), after(3000))
    assert later["control"]["token"] == vault["control"]["token"]
    assert (later["keys-ward"], later["keys-lab"]) == (vault["keys-ward"], vault["keys-lab"])


def test_public_halves_are_told_by_group_and_place(vault: Vault) -> None:
    told = public_keys(vault)
    assert told.keys() == {"ward.0", "ward.1", "lab.0"} and len(set(told.values())) == 3
    assert all(key.startswith(b"-----BEGIN PUBLIC KEY-----") for key in told.values())


def test_a_secret_that_somebody_spoiled_is_an_error_and_is_not_replaced(vault: Vault) -> None:
    with pytest.raises(ValueError, match=r"[Uu]nable to load"):
        settled({**vault, "authority": {**vault["authority"], "ca.crt": b"spoiled"}}, needs({"ward": 2}), NOW)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_however_a_group_grows_and_shrinks_no_two_nodes_ever_have_one_key(sizes: list[int]) -> None:
    """A place keeps its key while it exists; one that comes again is another node."""
    vault: Vault = {}
    seen: dict[bytes, tuple[str, int]] = {}
    lives = dict[str, int]()
    before: set[str] = set()
    for size in sizes:
        vault = settled(vault, needs({"ward": size}), NOW)
        keys = vault[keys_of("ward")]
        assert keys.keys() == {str(place) for place in range(size)}
        for place, key in keys.items():
            lives[place] = lives.get(place, 0) + (place not in before)
            assert seen.setdefault(key, (place, lives[place])) == (place, lives[place])
        before = set(keys)
