"""The published CAIP-122 profile: its examples are what this code builds, signs and verifies."""

import json
import re
from pathlib import Path

import pytest

from realtime_protocol.cacao import build_cacao, verify_cacao
from realtime_protocol.identity import encode_identity, parse_identity
from realtime_protocol.login_resources import parse_resource
from realtime_protocol.login_text import STATEMENT, build_login_text, parse_login_text
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import keypair
from realtime_protocol.wallet_signatures import sign_login, verify_login_signature

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/caip122-qubic.md").read_text(encoding="utf-8")
TEXTS = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
[CACAO] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
TABLES = re.findall(r"\| `qubic:(wc|k12|raw)` \| `([0-9a-f]{128})` \|", PAGE)
[SEED] = re.findall(r"The seed `([a-z]{55})` is public", PAGE)
SCHEMES = {"wc": Scheme.WC, "k12": Scheme.K12, "raw": Scheme.RAW}
CASES = [
    (TEXTS[number // 3].encode(), name, signature)
    for number, (name, signature) in enumerate(TABLES)
]


def test_the_page_has_a_signature_of_each_type_for_each_text() -> None:
    assert len(TEXTS) == 2
    assert [name for name, _ in TABLES] == ["wc", "k12", "raw"] * 2


@pytest.mark.parametrize("text", TEXTS)
def test_each_text_is_the_one_form_and_has_the_size_that_is_told(text: str) -> None:
    login = parse_login_text(text.encode())
    assert build_login_text(login.challenge, login.public_key, login.resources) == text.encode()
    assert f", {len(text)} bytes:" in PAGE
    assert login.public_key == keypair(SEED).public_key
    assert STATEMENT in text


@pytest.mark.parametrize(("text", "name", "signature"), CASES)
def test_each_signature_is_its_types_and_no_others(text: bytes, name: str, signature: str) -> None:
    keys = keypair(SEED)
    assert sign_login(SCHEMES[name], keys, text).hex() == signature
    verified = {
        other
        for other, scheme in SCHEMES.items()
        if verify_login_signature(scheme, keys.public_key, text, bytes.fromhex(signature))
    }
    assert verified == {name}


def test_the_cacao_is_the_second_text_and_verifies() -> None:
    login = verify_cacao(CACAO)
    assert login == parse_login_text(TEXTS[1].encode())
    signature = bytes.fromhex(CACAO["s"]["s"])
    again = build_cacao(login.challenge, login.public_key, Scheme.K12, signature, login.resources)
    assert again == CACAO


def test_the_account_is_written_as_the_page_says() -> None:
    identity = encode_identity(keypair(SEED).public_key)
    assert f"`qubic:mainnet:{identity}`" in PAGE
    assert f"`did:pkh:qubic:mainnet:{identity}`" in PAGE
    assert parse_identity(identity) == keypair(SEED).public_key


def test_the_template_has_the_lines_of_the_text_in_order() -> None:
    [template] = re.findall(r"```\n(\$\{domain\}.*?)\n```", PAGE, re.DOTALL)
    form = re.escape(template)
    values = re.sub(r"\\\$\\\{.*?\\\}", "[!-~ ]+", form)
    assert re.fullmatch(values, TEXTS[1])


def test_the_resources_that_are_told_are_the_known_ones() -> None:
    for scope in ("trust", "quote", "pay"):
        parse_resource(f"urn:qubic:realtime:scope:{scope}")
        assert scope in PAGE
    for resource in CACAO["p"]["resources"]:
        parse_resource(resource)
