"""The text that a wallet signs to log in: built by the hub, read by wallets and clients.

Line order of EIP-4361, LF, ASCII, at most 1,024 bytes. It is never exactly 32 bytes long, since a
wallet that signs raw messages would then sign a digest. A login sends no text: the hub builds it
again from its own challenge, so that nothing but that challenge can have been signed.
"""

import re
from dataclasses import dataclass
from typing import Final

from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.login_resources import LoginResources as LoginResources
from realtime_protocol.login_resources import encode_time, parse_resource, parse_time
from realtime_protocol.login_resources import parse_resources as parse_resources

TEXT_BYTES_MAX: Final = 1024
RESOURCES_MAX: Final = 8
NONCE_LETTERS: Final = 22
PORT_MAX: Final = 65_535

_DIGEST_BYTES: Final = 32
_INVITATION: Final = " wants you to sign in with your Qubic account:"
STATEMENT: Final = "Sign in to Realtime. This does not move any QU."
VERSION: Final = "1"
_LABELS: Final = (
    "URI: ",
    "Version: ",
    "Chain ID: ",
    "Nonce: ",
    "Issued At: ",
    "Expiration Time: ",
    "Request ID: ",
)
_HEAD_LINES: Final = 5
_RESOURCES: Final = "Resources:"
_RESOURCE: Final = "- "

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_AUTHORITY: Final = (
    rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\])(?::([1-9][0-9]{{0,4}}))?"
)
_DOMAIN: Final = re.compile(_AUTHORITY)
_URI: Final = re.compile(rf"(?:wss?|https?)://{_AUTHORITY}(?:/[!-\"$-~]*)?")
_CHAIN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NONCE: Final = re.compile(rf"[0-9A-Za-z]{{{NONCE_LETTERS}}}")
_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True)
class LoginChallenge:
    """What a hub asks a wallet to sign; ValueError when a field could bend the text.

    *domain* is the page's or program's ``host[:port]``, *uri* the address of the hub as the client
    opened it, both times are epoch ms in whole seconds.
    """

    nonce: str
    issued_ms: int
    expires_ms: int
    domain: str
    uri: str
    chain: str
    request_id: str

    def __post_init__(self) -> None:
        _require_form("nonce", self.nonce, _NONCE)
        _require_form("domain", self.domain, _DOMAIN)
        _require_form("uri", self.uri, _URI)
        _require_form("chain", self.chain, _CHAIN)
        _require_form("request_id", self.request_id, _REQUEST_ID)
        encode_time(self.issued_ms)
        encode_time(self.expires_ms)
        if self.expires_ms <= self.issued_ms:
            raise ValueError("a challenge must expire after it was issued")


@dataclass(frozen=True, slots=True)
class LoginText:
    """A login text taken apart."""

    challenge: LoginChallenge
    public_key: PublicKey
    resources: tuple[str, ...]


def build_login_text(
    challenge: LoginChallenge, public_key: bytes, resources: tuple[str, ...] | list[str] = ()
) -> bytes:
    """Return the one text for this challenge, wallet and list of resources.

    ValueError for a resource that has no known form, for too many, and for too long a text. Whether
    the resources fit together and are in time is `login_resources.parse_resources`'s to say.
    """
    if len(resources) > RESOURCES_MAX:
        raise ValueError(f"{len(resources)} resources; at most {RESOURCES_MAX}")
    for resource in resources:
        parse_resource(resource)
    values = (
        challenge.uri,
        VERSION,
        challenge.chain,
        challenge.nonce,
        encode_time(challenge.issued_ms),
        encode_time(challenge.expires_ms),
        challenge.request_id,
    )
    lines = [challenge.domain + _INVITATION, encode_identity(public_key), "", STATEMENT, ""]
    lines += [label + value for label, value in zip(_LABELS, values, strict=True)]
    if resources:
        lines += [_RESOURCES, *(_RESOURCE + resource for resource in resources)]
    text = "\n".join(lines).encode("ascii")
    if len(text) > TEXT_BYTES_MAX:
        raise ValueError(f"a login text of {len(text)} bytes; at most {TEXT_BYTES_MAX}")
    if len(text) == _DIGEST_BYTES:  # Unreachable while the statement stands; a rule none the less.
        raise ValueError(f"a login text must not have exactly {_DIGEST_BYTES} bytes")
    return text


def parse_login_text(text: bytes) -> LoginText:
    """Take a login text apart, for wallets and clients that look before they sign.

    ValueError for anything but the very bytes that `build_login_text` makes.
    """
    if not isinstance(text, bytes):
        raise TypeError(f"a login text is bytes, not {type(text).__name__}")
    if len(text) > TEXT_BYTES_MAX:
        raise ValueError(f"a login text of {len(text)} bytes; at most {TEXT_BYTES_MAX}")
    try:
        lines = text.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ValueError("a login text is ASCII") from None
    fields_end = _HEAD_LINES + len(_LABELS)
    if len(lines) < fields_end:
        raise ValueError(f"a login text has at least {fields_end} lines, not {len(lines)}")
    uri, _, chain, nonce, issued, expires, request_id = (
        _after(label, line)
        for label, line in zip(_LABELS, lines[_HEAD_LINES:fields_end], strict=True)
    )
    parsed = LoginText(
        LoginChallenge(
            nonce=nonce,
            issued_ms=parse_time(issued),
            expires_ms=parse_time(expires),
            domain=lines[0].removesuffix(_INVITATION),
            uri=uri,
            chain=chain,
            request_id=request_id,
        ),
        parse_identity(lines[1]),
        tuple(_after(_RESOURCE, line) for line in lines[fields_end + 1 :]),
    )
    if build_login_text(parsed.challenge, parsed.public_key, parsed.resources) != text:
        raise ValueError("the text differs from the one form of a login text")
    return parsed


def _require_form(name: str, value: str, form: re.Pattern[str]) -> None:
    match = form.fullmatch(value)
    if match is None:
        raise ValueError(f"{name} {value!r} doesn't have the form of one")
    if form.groups and match[1] and int(match[1]) > PORT_MAX:
        raise ValueError(f"{name} {value!r} names port {match[1]}; the last one is {PORT_MAX}")


def _after(label: str, line: str) -> str:
    if not line.startswith(label):
        raise ValueError(f"expected a line that begins with {label!r}")
    return line.removeprefix(label)
