"""The Realtime client for Python.

async with connect("wss://hub.example.org/v1", Wallet.from_seed(seed)) as session:
    payment = session.pay(Intent("SUZF...", 1_000))
    status = await payment
"""

from realtime_client.delegate import Delegate
from realtime_client.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionRefusedByHubError,
    HubError,
    HubMistrustedError,
    LoginError,
    OutcomeUnknownError,
    PaymentFailedError,
    QuoteUnusableError,
    RealtimeError,
    RequestTimeoutError,
    SpendLimitError,
    WalletBlockedError,
)
from realtime_client.intent import Intent
from realtime_client.link import LoginTiming
from realtime_client.payments import Payment
from realtime_client.quotes import QuoteStream
from realtime_client.reconnecting import Reconnect
from realtime_client.resuming import (
    LoggedInAgain,
    Lost,
    Reconnecting,
    Resumed,
    SessionEvent,
)
from realtime_client.session import Session, connect
from realtime_client.spending import SpendingWallet
from realtime_client.trust import TrustChange, TrustWatch
from realtime_client.wallet import LoginToSign, Signer, ToSign, TransactionToSign, Wallet
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import (
    DeadlineOf,
    GrantedKey,
    PaymentState,
    PaymentStatus,
    Priority,
    Quote,
    Scheme,
    Trust,
    TrustStatus,
)

__all__ = [
    "connect",
    "Session",
    "Wallet",
    "Signer",
    "ToSign",
    "LoginToSign",
    "TransactionToSign",
    "Delegate",
    "SpendingWallet",
    "SpendLimitError",
    "GrantedKey",
    "Intent",
    "Reconnect",
    "Payment",
    "QuoteStream",
    "TrustWatch",
    "TrustChange",
    "LoginTiming",
    "SessionEvent",
    "Reconnecting",
    "Resumed",
    "LoggedInAgain",
    "Lost",
    "RealtimeError",
    "HubError",
    "LoginError",
    "WalletBlockedError",
    "HubMistrustedError",
    "ConnectionLostError",
    "RequestTimeoutError",
    "ConnectionRefusedByHubError",
    "ConnectionClosedError",
    "QuoteUnusableError",
    "PaymentFailedError",
    "OutcomeUnknownError",
    "ErrorCode",
    "CloseCode",
    "Scheme",
    "Priority",
    "DeadlineOf",
    "TrustStatus",
    "Trust",
    "Quote",
    "PaymentState",
    "PaymentStatus",
]
