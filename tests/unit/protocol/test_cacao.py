"""CACAO: what a wallet signed comes back; anything else is refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from realtime_protocol.cacao import CacaoRefused, build_cacao, verify_cacao
from realtime_protocol.identity import contract_public_key, encode_identity
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import keypair
from realtime_protocol.wallet_signatures import sign_login

KEYS = keypair("s" * 55)
CHALLENGE = LoginChallenge(
    nonce="4fZk0pQ2v8sT1mYb6cHdNw",
    issued_ms=1_790_000_000_000,
    expires_ms=1_790_000_300_000,
    domain="app.example.org",
    uri="wss://hub.example.org/v1",
    chain="devnet",
    request_id="01JD8Z3K9QX5W7",
)


def cacao(scheme: Scheme = Scheme.WC, resources: tuple[str, ...] = ()) -> dict[str, Any]:
    text = build_login_text(CHALLENGE, KEYS.public_key, resources)
    signature = sign_login(scheme, KEYS, text)
    return build_cacao(CHALLENGE, KEYS.public_key, scheme, signature, resources)


@pytest.mark.parametrize("scheme", [Scheme.WC, Scheme.K12, Scheme.RAW])
@pytest.mark.parametrize("resources", [(), ("urn:qubic:realtime:scope:pay",)])
def test_a_login_comes_back(scheme: Scheme, resources: tuple[str, ...]) -> None:
    built = cacao(scheme, resources)
    login = verify_cacao(built)
    assert (login.challenge, login.public_key) == (CHALLENGE, KEYS.public_key)
    assert login.resources == resources
    assert ("resources" in built["p"]) is bool(resources)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another wallet": lambda c: c["p"].update(
        iss=f"did:pkh:qubic:devnet:{encode_identity(keypair('t' * 55).public_key)}"
    ),
    "another chain": lambda c: c["p"].update(iss=c["p"]["iss"].replace("devnet", "mainnet")),
    "a contract": lambda c: c["p"].update(
        iss=f"did:pkh:qubic:devnet:{encode_identity(contract_public_key(1))}"
    ),
    "another method": lambda c: c["p"].update(iss=c["p"]["iss"].replace("pkh", "key")),
    "no chain": lambda c: c["p"].update(iss="did:pkh:qubic:devnet"),
    "another domain": lambda c: c["p"].update(domain="evil.example.org"),
    "another uri": lambda c: c["p"].update(aud="wss://evil.example.org/v1"),
    "another nonce": lambda c: c["p"].update(nonce="5fZk0pQ2v8sT1mYb6cHdNw"),
    "later times": lambda c: c["p"].update(exp="2036-01-01T00:00:00Z"),
    "a time of another form": lambda c: c["p"].update(exp="2036-01-01T00:00:00.000Z"),
    "another version": lambda c: c["p"].update(version="2"),
    "another statement": lambda c: c["p"].update(statement="Pay all"),
    "a resource more": lambda c: c["p"].update(resources=["urn:qubic:realtime:scope:pay"]),
    "an unknown resource": lambda c: c["p"].update(resources=["urn:other"]),
    "a line feed": lambda c: c["p"].update(domain="a\nb"),
    "an unknown field": lambda c: c["p"].update(nbf="2026-01-01T00:00:00Z"),
    "another type": lambda c: c["s"].update(t="qubic:k12"),
    "an unknown type": lambda c: c["s"].update(t="eip191"),
    "a short signature": lambda c: c["s"].update(s="00"),
    "capital digits": lambda c: c["s"].update(s=c["s"]["s"].upper()),
    "another header": lambda c: c["h"].update(t="eip4361"),
    "no signature": lambda c: c.pop("s"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_wallet_did_not_sign_is_refused(name: str) -> None:
    bent = copy.deepcopy(cacao())
    CHANGES[name](bent)
    with pytest.raises(CacaoRefused):
        verify_cacao(bent)
