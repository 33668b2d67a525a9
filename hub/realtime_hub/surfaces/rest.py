"""REST for backends and devices: challenge, verify, status, decision, health."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.apps.service import Apps
from realtime_hub.auth.decisions import SignedDecision
from realtime_hub.auth.model import VerifiedWallet
from realtime_hub.readiness import Readiness
from realtime_hub.surfaces.callers import Caller, bearer_of, keyed_caller, plain_caller
from realtime_hub.surfaces.problems import (
    ERROR_HANDLERS,
    json_response,
    read_json,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.messages import Scheme, Trust, TrustReason
from realtime_protocol.versions import REST_PREFIX
from realtime_protocol.wallet_signatures import parse_signature_text

_SCHEMES: Final = {"wc": Scheme.WC, "k12": Scheme.K12, "raw": Scheme.RAW}


class RestAuth(Protocol):
    """What REST needs of TurboAuth."""

    async def issue_rest_challenge(
        self, wallet: PublicKey, *, domain: str, uri: str
    ) -> tuple[str, str, int]:
        """Return challenge id, text to sign, and its end in epoch ms."""
        ...

    async def verify_rest(
        self,
        challenge_id: str,
        wallet: PublicKey,
        *,
        scheme: Scheme,
        signature: bytes,
        domain: str,
        message: str | None,
    ) -> VerifiedWallet:
        """Check the signature over the challenge's text, once; raise RequestError."""
        ...

    async def get(self, wallets: list[PublicKey]) -> list[Trust]:
        """Return what is known of each wallet."""
        ...


class RestDecisions(Protocol):
    """What REST needs of whoever signs decisions."""

    async def issue(
        self,
        wallet: PublicKey,
        *,
        audience: str,
        nonce: str | None = None,
        see: Callable[[PublicKey, Trust], Trust] | None = None,
    ) -> SignedDecision:
        """Sign what is known of a wallet, as *see* shows it; RequestError 103 or 108."""
        ...


@dataclass(frozen=True, slots=True)
class RestContext:
    """What the REST surface works with."""

    auth: RestAuth
    decisions: RestDecisions
    uri: str
    domain_without_origin: str | None
    origins: Mapping[str, str]
    apps: Apps
    readiness: Callable[[], Readiness]
    admit: Callable[[str], None]
    """Counts a request from this address; raises RequestError 106 at the limit."""
    further: Sequence[Route] = field(default=())
    """Routes of other parts on the same port."""


class ChallengeBody(Struct, forbid_unknown_fields=True):
    """POST /challenge."""

    wallet: str
    domain: str | None = None


class VerifyBody(Struct, forbid_unknown_fields=True):
    """POST /verify. *signature* is text in one of the formats that wallets return."""

    challenge_id: Annotated[str, Meta(max_length=64)]
    wallet_address: str
    scheme: str
    signature: Annotated[str, Meta(max_length=4096)]
    domain: str | None = None
    """The challenge's, where the API key's app has several."""
    message: Annotated[str, Meta(max_length=1024)] | None = None
    """The text that was signed. It may be left out; given, it must be the hub's to the byte."""


def build_rest_app(context: RestContext) -> Starlette:
    """Build the ASGI application of the public port."""
    routes = _RestRoutes(context)
    return Starlette(
        routes=[
            Route(f"{REST_PREFIX}/challenge", routes.challenge, methods=["POST"]),
            Route(f"{REST_PREFIX}/verify", routes.verify, methods=["POST"]),
            Route(f"{REST_PREFIX}/status/{{wallet}}", routes.status, methods=["GET"]),
            Route(f"{REST_PREFIX}/decision/{{wallet}}", routes.decision, methods=["GET"]),
            *context.further,
            Route("/healthz", routes.healthz, methods=["GET"]),
            Route("/readyz", routes.readyz, methods=["GET"]),
        ],
        exception_handlers=ERROR_HANDLERS,
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=list(context.origins),
                allow_methods=["GET", "POST"],
                allow_headers=["Content-Type"],
                max_age=600,
            )
        ],
    )


class _RestRoutes:
    """The endpoints."""

    def __init__(self, context: RestContext) -> None:
        self._context = context

    async def challenge(self, request: Request) -> Response:
        """Issue the text that the wallet signs."""
        caller = self._admit(request)
        body = await read_json(request, ChallengeBody)
        domain = caller.choose_domain(body.domain)
        challenge_id, text, expires_ms = await self._context.auth.issue_rest_challenge(
            _parse_wallet(body.wallet), domain=domain, uri=self._context.uri
        )
        return json_response({"challenge_id": challenge_id, "text": text, "expires_ms": expires_ms})

    async def verify(self, request: Request) -> Response:
        """Check a signed challenge; the answer is the wallet's trust, and a decision on it.

        The decision names the challenge's nonce, and its domain as the audience. It is null while
        the wallet's trust can't be vouched for.
        """
        caller = self._admit(request)
        body = await read_json(request, VerifyBody)
        scheme = _SCHEMES.get(body.scheme)
        if scheme is None:
            raise RequestError(
                ErrorCode.UNSUPPORTED_SCHEME, f"scheme {body.scheme!r}; send wc, k12 or raw"
            )
        wallet = _parse_wallet(body.wallet_address)
        domain = caller.choose_domain(body.domain)
        verified = await self._context.auth.verify_rest(
            body.challenge_id,
            wallet,
            scheme=scheme,
            signature=_parse_signature(body.signature),
            domain=domain,
            message=body.message,
        )
        trust = caller.see(wallet, verified.trust)
        decision = await self._decide(wallet, domain, verified.nonce, caller)
        return json_response({"valid": True, **describe_trust(wallet, trust), "decision": decision})

    async def _decide(
        self, wallet: PublicKey, domain: str, nonce: str, caller: Caller
    ) -> str | None:
        try:
            issued = await self._context.decisions.issue(
                wallet, audience=domain, nonce=nonce, see=caller.see
            )
        except RequestError as error:
            if error.code is not ErrorCode.BACKBONE_UNAVAILABLE:
                raise
            return None
        return _base64url(issued.signed)

    async def decision(self, request: Request) -> Response:
        """Sign what is known of a wallet, for the audience that is named."""
        caller = self._admit(request)
        wallet = _parse_wallet(request.path_params["wallet"])
        audience = request.query_params.get("audience")
        if audience is None:
            raise RequestError(
                ErrorCode.BAD_MESSAGE, "name the reader of the decision: ?audience=door-7"
            )
        issued = await self._context.decisions.issue(wallet, audience=audience, see=caller.see)
        told = issued.decision
        return json_response(
            {
                "wallet": encode_identity(wallet),
                "status": told.status.name,
                "trust_score": told.score,
                "seq": told.seq,
                "fresh_until_ms": told.fresh_until_ms,
                "stale_until_ms": told.stale_until_ms,
                "key_id": told.key_id.hex(),
                "decision": _base64url(issued.signed),
            }
        )

    async def status(self, request: Request) -> Response:
        """Tell what is known of a wallet."""
        caller = self._admit(request)
        wallet = _parse_wallet(request.path_params["wallet"])
        [trust] = await self._context.auth.get([wallet])
        return json_response(describe_trust(wallet, caller.see(wallet, trust)))

    async def healthz(self, _request: Request) -> Response:
        """Say that the process lives."""
        return json_response({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """Say whether the hub can serve, part by part."""
        readiness = self._context.readiness()
        body = {"ready": readiness.ready, "parts": dict(readiness.parts)}
        return json_response(body, 200 if readiness.ready else 503)

    def _admit(self, request: Request) -> Caller:
        """Count the request and tell who asks; RequestError 101, 102 or 106."""
        context = self._context
        token = bearer_of(request)
        if token is not None:
            return keyed_caller(context.apps, token, request.headers.get("origin"))
        context.admit(request.client.host if request.client else "")
        return plain_caller(
            context.apps,
            request.headers.get("origin"),
            origins=context.origins,
            without_origin=context.domain_without_origin,
        )


def describe_trust(wallet: PublicKey, trust: Trust) -> dict[str, object]:
    """Name the parts of a trust answer for JSON."""
    return {
        "wallet": encode_identity(wallet),
        "status": trust.status.name,
        "trust_score": trust.score,
        "reason": _reason_name(trust.reason),
        "seq": trust.seq,
        "tier": trust.tier.name,
        "age_ms": trust.age_ms,
        "use_until_ms": trust.use_until_ms,
    }


def _reason_name(reason: int) -> str:
    try:
        return TrustReason(reason).name.lower()
    except ValueError:
        return str(reason)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _parse_wallet(text: str) -> PublicKey:
    try:
        return parse_identity(text)
    except ValueError as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, f"wallet: {error}") from error


def _parse_signature(text: str) -> bytes:
    try:
        return parse_signature_text(text)
    except ValueError as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, f"signature: {error}") from error
