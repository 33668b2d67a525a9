"""REST for backends and devices: challenge, verify, status, decision, health."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.apps.service import Apps
from realtime_hub.auth.challenges import ProvenChallenge
from realtime_hub.auth.decisions import SignedDecision
from realtime_hub.readiness import Readiness
from realtime_hub.surfaces.callers import Caller, bearer_of, keyed_caller, plain_caller
from realtime_hub.surfaces.problems import (
    ERROR_HANDLERS,
    json_response,
    read_json,
)
from realtime_hub.surfaces.wallet_keys import RestGrants, wallet_key_routes
from realtime_hub.surfaces.wallet_proofs import (
    ChallengeProver,
    KeyText,
    ProofBody,
    base64url,
    check_proof,
    parse_key,
    parse_wallet,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.decision import AUDIENCE_LETTERS_MAX, NONCE_LETTERS_MAX
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import Trust, TrustReason
from realtime_protocol.versions import REST_PREFIX


class RestAuth(ChallengeProver, Protocol):
    """What REST needs of TurboAuth."""

    async def issue_rest_challenge(
        self, wallet: PublicKey, *, domain: str, uri: str, key: bytes | None
    ) -> tuple[str, str, int]:
        """Return challenge id, text to sign, and its end in epoch ms."""
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
        session_key: bytes | None = None,
        session_key_until_ms: int | None = None,
        see: Callable[[PublicKey, Trust], Trust] | None = None,
    ) -> SignedDecision:
        """Sign what is known of a wallet, as *see* shows it; RequestError 103 or 108."""
        ...


@dataclass(frozen=True, slots=True)
class RestContext:
    """What the REST surface works with."""

    auth: RestAuth
    decisions: RestDecisions
    grants: RestGrants
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
    key: KeyText | None = None
    """The Ed25519 key that stands for the wallet: the text lists it, and it may sign (`key`)."""


class VerifyBody(ProofBody, forbid_unknown_fields=True):
    """POST /verify. The decision is for *audience* and in answer to its *nonce*, if it sent one.

    Without an audience it is for the challenge's domain, and names the challenge's nonce.
    """

    audience: Annotated[str, Meta(max_length=AUDIENCE_LETTERS_MAX)] | None = None
    nonce: Annotated[str, Meta(max_length=NONCE_LETTERS_MAX)] | None = None


def build_rest_app(context: RestContext) -> Starlette:
    """Build the ASGI application of the public port."""
    routes = _RestRoutes(context)
    return Starlette(
        routes=[
            Route(f"{REST_PREFIX}/challenge", routes.challenge, methods=["POST"]),
            Route(f"{REST_PREFIX}/verify", routes.verify, methods=["POST"]),
            Route(f"{REST_PREFIX}/status/{{wallet}}", routes.status, methods=["GET"]),
            Route(f"{REST_PREFIX}/decision/{{wallet}}", routes.decision, methods=["GET"]),
            *wallet_key_routes(context.auth, context.grants, routes.admit),
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
        caller = self.admit(request)
        body = await read_json(request, ChallengeBody)
        challenge_id, text, expires_ms = await self._context.auth.issue_rest_challenge(
            parse_wallet(body.wallet),
            domain=caller.choose_domain(body.domain),
            uri=self._context.uri,
            key=None if body.key is None else parse_key(body.key),
        )
        return json_response({"challenge_id": challenge_id, "text": text, "expires_ms": expires_ms})

    async def verify(self, request: Request) -> Response:
        """Check a signed challenge; the answer is the wallet's trust, and a decision on it.

        It tells whether a granted key signed, and what it was granted: less than all, maybe.
        The decision names the key that the text lists. It is null while the wallet's trust can't
        be vouched for.
        """
        caller = self.admit(request)
        body = await read_json(request, VerifyBody)
        if body.nonce is not None and body.audience is None:
            raise RequestError(ErrorCode.BAD_MESSAGE, "name the audience whose nonce that is")
        proven = await check_proof(self._context.auth, caller, body)
        login = proven.login
        [known] = await self._context.auth.get([login.wallet])
        trust = caller.see(login.wallet, known)
        issued = await self._decide(proven, caller, body)
        if login.grant is not None:
            # Meanwhile it may have ended: what names its key must not leave then.
            self._context.grants.require_standing(login.wallet, login.grant)
        key = None if issued is None else issued.decision.session_key
        return json_response(
            {
                "valid": True,
                **describe_trust(login.wallet, trust),
                "by_key": login.by_key,
                "scopes": login.scopes,
                "key": None if key is None else base64url(key),
                "decision": None if issued is None else base64url(issued.signed),
            }
        )

    async def _decide(
        self, proven: ProvenChallenge, caller: Caller, body: VerifyBody
    ) -> SignedDecision | None:
        audience, nonce, login = body.audience, body.nonce, proven.login
        if audience is None:
            audience, nonce = caller.choose_domain(body.domain), proven.nonce
        try:
            return await self._context.decisions.issue(
                login.wallet,
                audience=audience,
                nonce=nonce,
                session_key=login.session_key,
                session_key_until_ms=None if login.session_key is None else login.session_exp_ms,
                see=caller.see,
            )
        except RequestError as error:
            if error.code is not ErrorCode.BACKBONE_UNAVAILABLE:
                raise
            return None

    async def decision(self, request: Request) -> Response:
        """Sign what is known of a wallet, for the audience that is named."""
        caller = self.admit(request)
        wallet = parse_wallet(request.path_params["wallet"])
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
                "decision": base64url(issued.signed),
            }
        )

    async def status(self, request: Request) -> Response:
        """Tell what is known of a wallet."""
        caller = self.admit(request)
        wallet = parse_wallet(request.path_params["wallet"])
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

    def admit(self, request: Request) -> Caller:
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
