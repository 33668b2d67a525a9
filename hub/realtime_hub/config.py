"""Everything that an operator can set, with its default and its bound.

The CLI fills this struct from a TOML table ``[hub]`` and from ``REALTIME_HUB_*`` variables;
:func:`check_settings` finds what no type can express.
"""

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from realtime_hub.keys import Purpose
from realtime_protocol.decision import AUDIENCE_LETTERS_MAX, is_audience
from realtime_protocol.identity import PublicKey, parse_identity
from realtime_protocol.limits import Limits
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK, SUBPROTOCOLS, WEBSOCKET_PATH

Port = Annotated[int, Meta(ge=0, le=65_535)]
"""0 lets the system choose."""
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]

DEVNET_CHAIN: Final = "devnet"
DEVNET_CONTRACT_INDEX: Final = 29


_QUOTE_USE_MS: Final = 600_000
_EVENT_USE_MS: Final = 604_800_000
"""A receiver of events may fetch them so late."""


class TrustSourceKind(StrEnum):
    """Where a hub's trust records come from."""

    CONTRACT = "contract"
    REGISTRY = "registry"
    NONE = "none"


class SettingsError(ValueError):
    """A setting can't be used; the message names it."""


class EventStreamSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One receiver of security events: a table ``[[hub.event_streams]]``."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    audience: Annotated[str, Meta(min_length=1, max_length=256)]
    """Who the receiver is, as it stands in ``aud``."""
    push_url: str | None = None
    """Where events are sent, https; left out: the receiver polls."""
    token_file: Path | None = None
    """A secret in a file of mode 0600: sent with each push, or expected of each poll."""
    events: Annotated[
        list[Annotated[str, Meta(pattern="^(session-revoked|token-claims-change)$")]],
        Meta(min_length=1),
    ] = field(default_factory=lambda: ["session-revoked", "token-claims-change"])


class AppSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One app that this hub serves: a table ``[[hub.apps]]``. Its keys: ``realtime apps key``."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    origins: dict[str, str] = field(default_factory=dict)
    """Allowed Origin -> the domain that its users sign for, as in `hub.origins`."""
    domains: Annotated[list[str], Meta(max_length=32)] = field(default_factory=list)
    """Further domains for which its backend may ask challenges with an API key; `native_domain`
    here makes native clients this app's."""

    @property
    def all_domains(self) -> list[str]:
        """Every domain that is this app's."""
        return list(dict.fromkeys([*self.origins.values(), *self.domains]))


class HubSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of one hub process."""

    host: str = "127.0.0.1"
    port: Port = 8080
    admin_host: str = "127.0.0.1"
    """Metrics and administration; a loopback address."""
    admin_port: Port = 8082
    public_uri: str | None = None
    """The URL that clients open, as it stands in the login text; default ws://host:port/v1."""
    native_domain: str | None = None
    """The domain of clients that send no Origin; default host:port. Empty: none are let in."""
    origins: dict[str, str] = field(default_factory=dict)
    """Allowed Origin -> the domain that its users sign for."""
    apps: Annotated[list[AppSettings], Meta(max_length=64)] = field(default_factory=list)
    """Apps with origins, domains, API keys and a block list of their own, as tables
    `[[hub.apps]]`; see docs/howto/apps.md."""
    state: Path = Path(".realtime/hub")
    """Folder of the payment journal and the trust journal."""
    workers: Annotated[int, Meta(ge=0, le=256)] = 1
    """Processes behind the port, sharing through Redis; 0: one for each core."""
    redis_url: str | None = None
    """Shared L2 and trust log; without it both live in this process. redis://, or with + a
    redis+sentinel:// or redis+cluster:// address; rediss for TLS: docs/howto/redis.md."""
    fleet_key_file: Path | None = None
    """32 bytes that authenticate trust log entries between hubs; made in `state` when absent."""
    keys_file: Path | None = None
    """The hub's signing keys; default keys.json in `state`, made when absent. All hubs of a fleet
    get a copy of one file."""

    chain: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z][a-z0-9-]*$")] = (
        DEVNET_CHAIN
    )
    nodes: Annotated[list[str], Meta(min_length=1, max_length=16)] = field(
        default_factory=lambda: ["127.0.0.1:21841"]
    )
    """host:port of Qubic nodes."""
    node_timeout_ms: Milliseconds = 1_000
    contract_index: Annotated[int, Meta(ge=1, le=1023)] | None = None
    """Index of the TurboAuth contract; only the devnet has a default."""
    admin: str | None = None
    """Identity of the administrator; the contract counts only when it names the same."""
    trust_source: TrustSourceKind | None = None
    """contract, registry or none; default: the contract where there is one, else what
    `registry_url` names. A hub without a source must say so: every wallet is UNKNOWN then."""
    contract_http_urls: Annotated[list[str], Meta(max_length=8)] = field(default_factory=list)
    """HTTP APIs that are asked for the contract's records beside the nodes."""
    trust_sources_agree: Annotated[int, Meta(ge=1, le=16)] | None = None
    """So many nodes and HTTP APIs must say the same of a wallet; default 1 on the devnet, 2
    elsewhere."""
    registry_name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")] = "realtime"
    """Stands in each order of the administrator, so that none counts for another registry."""
    registry_url: str | None = None
    """The hub that keeps the registry, as https://host; without it this hub keeps it."""

    login_when_unavailable: Annotated[str, Meta(pattern="^(refuse|observe)$")] = "refuse"
    session_ttl_ms: Milliseconds = 86_400_000
    resume_within_ms: Milliseconds = 120_000
    """How long after its connection was lost a session can be resumed."""
    trust_l1_wallets_max: Count = 100_000
    trust_ttl_ms: Milliseconds = 5_000
    """How long an answer may be used without asking again."""
    decision_fresh_ms: Milliseconds = 300_000
    """How long a signed decision may be used for everything."""
    decision_stale_ms: Milliseconds = 3_600_000
    """How long after its issue a reader's policy may still list it: the longest that a device
    without a network can miss a block."""
    signature_checks_pending_max: Annotated[int, Meta(ge=64, le=1_000_000)] = 1_024
    """Signature checks that may wait or run; beyond it they are refused with 107."""

    event_streams: Annotated[list[EventStreamSettings], Meta(max_length=32)] = field(
        default_factory=list
    )
    """Receivers of security events, as tables `[[hub.event_streams]]`; see security-events.md."""
    event_issuer: str | None = None
    """Who the events are from, an https URL under which this hub answers; default: public_uri's
    host."""
    events_waiting_max: Count = 10_000
    """For each receiver; beyond, the oldest make room."""

    target_tick_offset: Annotated[int, Meta(ge=3, le=600)] | None = None
    """Ticks from now to the tick of a prepared payment; default 5 on the devnet, 10 elsewhere."""
    settle_within_ms: Milliseconds = 600_000
    payer_score_min: Annotated[int, Meta(ge=0, le=100)] = 0
    """Least trust score of a payer."""
    offline_amount_qu_max: Annotated[int, Meta(ge=0, le=200_000_000_000_000)] = 0
    """What a payer may have under way in all while trust can't be read, on what was known in the
    last 5 minutes. 0: nothing."""
    catalog_file: Path | None = None
    """networkx node-link JSON with further routes."""

    json_subprotocol: bool = True
    """Let clients that ask for it read and write JSON, to debug by eye: docs/howto/debug-by-eye.md.
    Off: msgpack alone."""

    sign_quotes: bool = False
    """Sign each quote that is delivered, so that it can be shown to others; about 0.05 ms each."""

    sessions_per_ip_max: Count = 64
    upgrades_per_ip_per_s: Count = 10
    sessions_per_wallet_max: Count = 16
    sessions_max: Count = 20_000
    files_reserved: Annotated[int, Meta(ge=16, le=100_000)] = 128
    """Open files that clients can't take: for Redis, journals, nodes, administration."""
    memory_mib_max: Annotated[int, Meta(ge=64, le=1_048_576)] | None = None
    """Memory of one worker from which overload is reckoned; default: its share of the cgroup's."""
    requests_per_s: Count = 20
    requests_burst: Count = 40
    requests_per_wallet_per_s: Count | None = None
    """Of all sessions of a wallet together, at one worker; default: three times requests_per_s."""
    requests_per_ip_per_s: Count | None = None
    """Of all connections of an address, at one worker; default: ten times requests_per_s."""

    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"

    @property
    def uri(self) -> str:
        """The URL in the login text."""
        return self.public_uri or f"ws://{self.host}:{self.port}{WEBSOCKET_PATH}"

    @property
    def all_origins(self) -> dict[str, str]:
        """Every allowed Origin -> its domain: the hub's own and those of its apps."""
        return {**self.origins, **{at: of for app in self.apps for at, of in app.origins.items()}}

    @property
    def domain_without_origin(self) -> str | None:
        """The domain for native clients; None when they are not let in."""
        if self.native_domain == "":
            return None
        return self.native_domain or f"{self.host}:{self.port}"

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """What is served, the best first."""
        return SUBPROTOCOLS if self.json_subprotocol else (SUBPROTOCOL_MSGPACK,)

    @property
    def turboauth_index(self) -> int | None:
        """The contract's index; None where no contract is configured."""
        if self.contract_index is None and self.chain == DEVNET_CHAIN:
            return DEVNET_CONTRACT_INDEX
        return self.contract_index

    @property
    def signing_keys_path(self) -> Path:
        """Where the hub's signing keys lie."""
        return self.keys_file or self.state / "keys.json"

    @property
    def key_overlap_ms(self) -> dict[Purpose, int]:
        """How long what a key signed can be used: so long it stays published."""
        return {
            Purpose.DECISION: self.decision_stale_ms,
            Purpose.QUOTE: _QUOTE_USE_MS,
            Purpose.EVENT: _EVENT_USE_MS,
        }

    @property
    def issuer(self) -> str:
        """Who this hub is to receivers of events."""
        if self.event_issuer is not None:
            return self.event_issuer
        parts = urlsplit(self.uri)
        return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"

    @property
    def trust_kind(self) -> TrustSourceKind | None:
        """The source of trust; None where the settings leave it open."""
        if self.trust_source is not None:
            return self.trust_source
        if self.turboauth_index is not None:
            return TrustSourceKind.CONTRACT
        return None if self.registry_url is None else TrustSourceKind.REGISTRY

    @property
    def sources_to_agree(self) -> int:
        """How many sources must say the same of a wallet."""
        return self.trust_sources_agree or (1 if self.chain == DEVNET_CHAIN else 2)

    @property
    def admin_key(self) -> PublicKey | None:
        """The administrator's key."""
        return None if self.admin is None else parse_identity(self.admin)

    @property
    def tick_offset(self) -> int:
        """Ticks from now to the tick of a prepared payment."""
        return self.target_tick_offset or (5 if self.chain == DEVNET_CHAIN else 10)

    @property
    def limits(self) -> Limits:
        """What a session is told that it may do."""
        return Limits(
            resume_within_ms=self.resume_within_ms,
            requests_per_s=self.requests_per_s,
            requests_burst=self.requests_burst,
            requests_per_wallet_per_s=self.requests_per_wallet_per_s or 3 * self.requests_per_s,
            requests_per_ip_per_s=self.requests_per_ip_per_s or 10 * self.requests_per_s,
            upgrades_per_ip_per_s=self.upgrades_per_ip_per_s,
            sessions_per_ip_max=self.sessions_per_ip_max,
            sessions_per_wallet_max=self.sessions_per_wallet_max,
        )


def is_loopback(host: str) -> bool:
    """Whether *host* can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def workers_of(settings: HubSettings, *, cores: int) -> int:
    """Return how many worker processes to run; SettingsError when they can't share."""
    workers = settings.workers or cores
    if workers > 1 and settings.redis_url is None:
        raise SettingsError(
            f"hub.workers: {workers} workers share through Redis; set hub.redis_url "
            "(REALTIME_HUB_REDIS_URL, --redis-url), or run one worker"
        )
    return workers


def check_settings(settings: HubSettings, *, demo_identities: frozenset[str] = frozenset()) -> None:
    """Raise SettingsError naming the first setting that can't be used.

    *demo_identities* are those whose seeds the devnet wrote to a file: off loopback none of them
    may administer anything.
    """
    if not is_loopback(settings.admin_host):
        raise SettingsError(
            f"hub.admin_host: {settings.admin_host} is not a loopback address; "
            "administration has no login of its own"
        )
    if settings.admin is not None:
        try:
            parse_identity(settings.admin)
        except ValueError as error:
            raise SettingsError(f"hub.admin: {error}") from error
        if settings.admin in demo_identities and not is_loopback(settings.host):
            raise SettingsError(
                f"hub.admin: {settings.admin} is the devnet's demo administrator, whose seed lies "
                f"in a file; it can't serve on {settings.host}. Make one: realtime wallet new"
            )
    for node in settings.nodes:
        host, colon, port = node.rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 65_536):
            raise SettingsError(f"hub.nodes: {node!r} is not host:port")
    _check_apps(settings)
    for origin, domain in settings.all_origins.items():
        if origin == "null" or "://" not in origin or not domain:
            raise SettingsError(
                f"hub.origins: {origin!r} = {domain!r} is not like 'https://app.example' = "
                "'app.example'"
            )
    _check_event_streams(settings)
    if settings.decision_fresh_ms > settings.decision_stale_ms:
        raise SettingsError(
            f"hub.decision_fresh_ms: {settings.decision_fresh_ms} is more than decision_stale_ms, "
            f"{settings.decision_stale_ms}; a decision is fresh first, then stale"
        )
    named = [domain for app in settings.apps for domain in app.domains]
    native = settings.domain_without_origin or "x"
    for domain in (*settings.all_origins.values(), *named, native):
        if not is_audience(domain):
            raise SettingsError(
                f"hub.origins, native_domain, apps: {domain!r} can't be the audience of a "
                f"decision, which has 1 to {AUDIENCE_LETTERS_MAX} letters without a space"
            )
    _check_trust_source(settings)


def _check_trust_source(settings: HubSettings) -> None:
    kind = settings.trust_kind
    if kind is None:
        raise SettingsError(
            f"hub.trust_source: nobody to ask whom to trust on {settings.chain}. Set "
            "contract_index and admin, or trust_source = 'registry' and admin, or, for a hub to "
            "which every wallet is UNKNOWN, trust_source = 'none'"
        )
    if kind is TrustSourceKind.CONTRACT:
        _check_contract(settings)
    if kind is TrustSourceKind.REGISTRY and settings.admin is None:
        raise SettingsError("hub.admin: needed with a registry, to know whose orders count")
    if settings.registry_url is not None:
        if kind is not TrustSourceKind.REGISTRY:
            raise SettingsError(f"hub.registry_url: not used with trust_source = '{kind}'")
        _check_url("hub.registry_url", settings.registry_url)


def _check_contract(settings: HubSettings) -> None:
    if settings.turboauth_index is None:
        raise SettingsError("hub.contract_index: needed with trust_source = 'contract'")
    if settings.contract_index is not None and settings.admin is None:
        raise SettingsError(
            "hub.admin: needed with contract_index, to know whom the contract obeys"
        )
    for url in settings.contract_http_urls:
        _check_url("hub.contract_http_urls", url)
    need, there = settings.sources_to_agree, len(settings.nodes) + len(settings.contract_http_urls)
    if need > there:
        raise SettingsError(
            f"hub.trust_sources_agree: {need} sources must agree and there "
            f"{'is one' if there == 1 else f'are {there}'}; add to nodes or contract_http_urls"
        )


def _check_url(name: str, url: str) -> None:
    """What travels in the clear could be held back by anybody on the way."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise SettingsError(f"{name}: {url!r} is not like https://host")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(f"{name}: {url!r} must be https outside this machine")


def _check_apps(settings: HubSettings) -> None:
    """Whose a session is must never be open to question."""
    names = [app.name for app in settings.apps]
    if len(set(names)) != len(names):
        raise SettingsError("hub.apps: two apps have the same name")
    owner_of: dict[str, str] = dict.fromkeys((*settings.origins, *settings.origins.values()), "")
    for app in settings.apps:
        if not app.all_domains:
            raise SettingsError(f"hub.apps, {app.name}: name an origin or a domain")
        for claimed in (*app.origins, *app.all_domains):
            if owner_of.setdefault(claimed, app.name) != app.name:
                other = owner_of[claimed]
                raise SettingsError(
                    f"hub.apps, {app.name}: {claimed!r} belongs to "
                    f"{f'app {other}' if other else 'hub.origins'} already"
                )


def _check_event_streams(settings: HubSettings) -> None:
    names = [stream.name for stream in settings.event_streams]
    if len(set(names)) != len(names):
        raise SettingsError("hub.event_streams: two streams have the same name")
    for stream in settings.event_streams:
        where = f"hub.event_streams, {stream.name}"
        if stream.push_url is None:
            if stream.token_file is None:
                raise SettingsError(
                    f"{where}: a stream that is polled needs a token_file, or anybody could read it"
                )
            continue
        _check_url(f"{where}: push_url", stream.push_url)
