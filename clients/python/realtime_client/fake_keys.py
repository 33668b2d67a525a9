"""The keys that a fake hub lets log in."""

from realtime_client.fake_world import now_epoch_ms
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.login_resources import LoginResources
from realtime_protocol.messages import GrantedKey, SpendTerms
from realtime_protocol.session_key import Kind, verify_with_session_key


class FakeKeys:
    """Grants by wallet and key. Revoking one closes no session here: the hub's tests see to it."""

    def __init__(self) -> None:
        super().__init__()
        self.granted: dict[tuple[bytes, bytes], GrantedKey] = {}

    def _grant(self, wallet: PublicKey, listed: LoginResources, domain: str) -> None:
        key = listed.key
        if key is None or key.until_ms is None:
            return
        now_ms = now_epoch_ms()
        self.granted[wallet, key.public_key] = GrantedKey(
            key.public_key,
            list(listed.scopes),
            key.until_ms,
            domain,
            now_ms,
            now_ms,
            [SpendTerms(one.wallet, one.max_qu, one.until_ms) for one in listed.spends],
        )

    def _prove_by_key(
        self, wallet: PublicKey, listed: LoginResources, text: bytes, signature: bytes
    ) -> list[str]:
        key = b"" if listed.key is None else listed.key.public_key
        grant = self.granted.get((wallet, key))
        signed = verify_with_session_key(key, Kind.LOGIN, text, signature)
        if grant is None or not signed or grant.until_ms <= now_epoch_ms():
            raise RequestError(ErrorCode.BAD_SIGNATURE, "this wallet lets no such key log in")
        if not listed.names_scopes:
            return grant.scopes
        if not set(listed.scopes) <= set(grant.scopes):
            raise RequestError(ErrorCode.FORBIDDEN_SCOPE, "the key was not granted that")
        return list(listed.scopes)

    def _keys_of(self, wallet: PublicKey) -> list[GrantedKey]:
        return [grant for (owner, _), grant in self.granted.items() if owner == wallet]

    def _revoke(self, wallet: PublicKey, key: bytes | None) -> int:
        ended = [each for each in self.granted if each[0] == wallet and key in (None, each[1])]
        for each in ended:
            del self.granted[each]
        return len(ended)
