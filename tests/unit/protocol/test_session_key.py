import pytest

from realtime_protocol.session_key import (
    Kind,
    covered_bytes,
    resume_body,
    session_public_key,
    sign_with_session_key,
    verify_with_session_key,
)

SEED = bytes(range(32))
KEY = session_public_key(SEED)


def test_the_type_line_comes_first() -> None:
    assert covered_bytes(Kind.RESUME, b"body") == b"realtime/resume/v1\nbody"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_signature_counts_for_its_own_kind_only(kind: Kind) -> None:
    signature = sign_with_session_key(SEED, kind, b"body")
    for tried in Kind:
        assert verify_with_session_key(KEY, tried, b"body", signature) is (tried is kind)


def test_another_key_another_body_or_a_changed_signature_do_not_verify() -> None:
    signature = sign_with_session_key(SEED, Kind.LOGIN, b"body")
    other = session_public_key(bytes(32))
    assert not verify_with_session_key(other, Kind.LOGIN, b"body", signature)
    assert not verify_with_session_key(KEY, Kind.LOGIN, b"bodies", signature)
    changed = signature[:-1] + bytes([signature[-1] ^ 1])
    assert not verify_with_session_key(KEY, Kind.LOGIN, b"body", changed)


def test_wrong_lengths_are_refused_without_an_error() -> None:
    signature = sign_with_session_key(SEED, Kind.LOGIN, b"")
    assert not verify_with_session_key(KEY[:-1], Kind.LOGIN, b"", signature)
    assert not verify_with_session_key(KEY, Kind.LOGIN, b"", signature[:-1])
    assert not verify_with_session_key(bytes(32), Kind.LOGIN, b"", bytes(64))


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        session_public_key(bytes(31))


def test_a_resume_proof_covers_where_and_which_session_and_nonce() -> None:
    body = resume_body(domain="app.example.org", uri="wss://hub/v1", sid="s1", nonce="n1")
    assert body == b"app.example.org\nwss://hub/v1\ns1\nn1"
    with pytest.raises(ValueError, match="line feed"):
        resume_body(domain="a\nb", uri="c", sid="d", nonce="e")
