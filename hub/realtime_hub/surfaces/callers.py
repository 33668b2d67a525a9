"""Who asks over HTTP: a page by its Origin, a backend by its API key, or nobody in particular.

A challenge belongs to a domain; which one is never the caller's word alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from realtime_hub.apps.model import ApiKey, App, KeyScope
from realtime_hub.apps.service import Apps
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Trust

_SCHEME = "bearer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and for which domains its users may sign."""

    app: App | None
    domains: frozenset[str]
    origin: str | None

    def see(self, wallet: PublicKey, trust: Trust) -> Trust:
        """Return what this caller is told of a wallet."""
        return trust if self.app is None else self.app.see(wallet, trust)

    def choose_domain(self, named: str | None) -> str:
        """Return the domain for which a challenge is asked; RequestError 202."""
        if not self.domains:
            raise RequestError(
                ErrorCode.DOMAIN_MISMATCH,
                f"origin {self.origin!r} is not allowed here; the operator lists it in hub.origins",
            )
        known = ", ".join(map(repr, sorted(self.domains)))
        if named is None and len(self.domains) > 1:
            raise RequestError(ErrorCode.DOMAIN_MISMATCH, f"name the domain, one of {known}")
        if named is not None and named not in self.domains:
            raise RequestError(
                ErrorCode.DOMAIN_MISMATCH,
                f"domain {named!r} is not this caller's; leave it out or send {known}",
            )
        return named or next(iter(self.domains))


def bearer_of(request: Request) -> str | None:
    """Return the token that a request carries; None when it carries none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else None


def require_key(apps: Apps, token: str, scope: KeyScope, origin: str | None) -> tuple[ApiKey, App]:
    """Return the key and its app, and count the request; RequestError 101, 102 or 106."""
    if origin is not None:
        raise RequestError(
            ErrorCode.FORBIDDEN_SCOPE,
            "an API key must not be in a page: everybody could read it there",
        )
    key, app = apps.authenticate(token, scope)
    apps.take(key)
    return key, app


def keyed_caller(apps: Apps, token: str, origin: str | None) -> Caller:
    """Return who asks with an API key."""
    _, app = require_key(apps, token, KeyScope.REST, origin)
    return Caller(app, app.domains, origin)


def plain_caller(
    apps: Apps, origin: str | None, *, origins: Mapping[str, str], without_origin: str | None
) -> Caller:
    """Return who asks without a key."""
    domain = without_origin if origin is None else origins.get(origin)
    if domain is None:
        return Caller(None, frozenset(), origin)
    return Caller(apps.of_domain(domain), frozenset({domain}), origin)
