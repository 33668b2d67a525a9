"""The Ed25519 keys with which a hub signs: which one signs now, which ones are published.

Every hub of a fleet has the same keys, so that whoever trusts one hub's word trusts all of them.
A rotation overlaps on both sides: the next key is published before it signs, and the last one
stays published until nothing that it signed can still be used.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from realtime_protocol.decision import key_id_of
from realtime_protocol.session_key import Kind, session_public_key, sign_with_session_key

SEED_BYTES: Final = 32


class Purpose(StrEnum):
    """What a key signs. None signs for two, so that each can be replaced by itself."""

    DECISION = "decision"
    QUOTE = "quote"
    EVENT = "event"


class KeyState(StrEnum):
    """Where a key is in its life."""

    NEXT = "next"
    SIGNING = "signing"
    RETIRED = "retired"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key; it signs from *signs_from_ms* (epoch ms) until the next of its purpose does."""

    purpose: Purpose
    seed: bytes = field(repr=False)
    signs_from_ms: int
    public_key: bytes = field(init=False)
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        # The one way to fill fields of a frozen dataclass that follow from others.
        object.__setattr__(self, "public_key", session_public_key(self.seed))
        object.__setattr__(self, "key_id", key_id_of(self.public_key))

    def sign(self, kind: Kind, body: bytes) -> bytes:
        """Return the signature over *body* behind that kind's type line."""
        return sign_with_session_key(self.seed, kind, body)


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key as others may see it, with its times in epoch ms; None: not decided yet."""

    key: SigningKey
    state: KeyState
    signs_until_ms: int | None
    published_until_ms: int | None


class KeyRing:
    """All keys of a hub. *overlap_ms* says how long what each purpose signs can be used."""

    def __init__(self, keys: Iterable[SigningKey], overlap_ms: Mapping[Purpose, int]) -> None:
        self._overlap_ms = dict(overlap_ms)
        self._keys: dict[Purpose, list[SigningKey]] = {purpose: [] for purpose in Purpose}
        for key in sorted(keys, key=lambda key: key.signs_from_ms):
            self._keys[key.purpose].append(key)
        for purpose, held in self._keys.items():
            if not held:
                raise ValueError(f"there is no key that signs a {purpose}")

    def signing(self, purpose: Purpose, now_ms: int) -> SigningKey:
        """Return the key that signs now: the newest whose time has come, else the first."""
        keys = self._keys[purpose]
        due = [key for key in keys if key.signs_from_ms <= now_ms]
        return due[-1] if due else keys[0]

    def describe(self, now_ms: int) -> list[PublishedKey]:
        """Return every key with its state, by purpose and age."""
        return [told for purpose in Purpose for told in self._describe(purpose, now_ms)]

    def published(self, now_ms: int) -> list[PublishedKey]:
        """Return the keys that others should trust now."""
        return [told for told in self.describe(now_ms) if told.state is not KeyState.GONE]

    def public_keys(self, purpose: Purpose, now_ms: int) -> dict[bytes, bytes]:
        """Return the published keys of one purpose, by key id."""
        return {
            told.key.key_id: told.key.public_key
            for told in self.published(now_ms)
            if told.key.purpose is purpose
        }

    def rotated(
        self, purpose: Purpose, seed: bytes, *, now_ms: int, lead_ms: int, stolen: bool = False
    ) -> "KeyRing":
        """Return the ring with a further key, which signs after *lead_ms*.

        What is published no longer is dropped. After a theft the new key signs at once and the
        others of its purpose are dropped with all that they signed.
        """
        kept = [told.key for told in self.published(now_ms)]
        if stolen:
            kept = [key for key in kept if key.purpose is not purpose]
            lead_ms = 0
        elif any(key.purpose is purpose and key.signs_from_ms > now_ms for key in kept):
            raise ValueError(f"the last rotation of the {purpose} key hasn't taken effect yet")
        return KeyRing([*kept, SigningKey(purpose, seed, now_ms + lead_ms)], self._overlap_ms)

    def _describe(self, purpose: Purpose, now_ms: int) -> Iterable[PublishedKey]:
        keys: Sequence[SigningKey | None] = [*self._keys[purpose], None]
        signing = self.signing(purpose, now_ms)
        for key, following in zip(self._keys[purpose], keys[1:], strict=True):
            signs_until_ms = None if following is None else following.signs_from_ms
            published_until_ms = (
                None if signs_until_ms is None else signs_until_ms + self._overlap_ms[purpose]
            )
            if key is signing:
                state = KeyState.SIGNING
            elif key.signs_from_ms > now_ms:
                state = KeyState.NEXT
            elif published_until_ms is not None and published_until_ms <= now_ms:
                state = KeyState.GONE
            else:
                state = KeyState.RETIRED
            yield PublishedKey(key, state, signs_until_ms, published_until_ms)


def first_keys(
    seeds: Mapping[Purpose, bytes], overlap_ms: Mapping[Purpose, int], *, now_ms: int
) -> KeyRing:
    """Return the ring of a first start, from one 32-byte seed for each purpose."""
    return KeyRing(
        [SigningKey(purpose, seed, now_ms) for purpose, seed in seeds.items()], overlap_ms
    )
