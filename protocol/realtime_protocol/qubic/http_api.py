"""JSON of Qubic's public HTTP API, as far as Realtime asks or serves it.

The services are gRPC gateways: 64-bit integers travel as strings, 32-bit ones as numbers, zeros are
written out. Three generations live side by side: ``/live/v1`` and ``/query/v1``, and the old
``/v1`` that is promised until the end of 2026 only. Source: the OpenAPI files of qubic/integration
and the .proto files of go-archiver.
"""

from enum import IntEnum

import msgspec


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """A JSON object with camelCase names; unknown members are ignored, the API grows."""


class ApiCode(IntEnum):
    """The gRPC codes that the API puts into its errors."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    FAILED_PRECONDITION = 9
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14

    @property
    def http_status(self) -> int:
        """The status that goes with the code."""
        return _HTTP_STATUS[self]


_HTTP_STATUS = {
    ApiCode.INVALID_ARGUMENT: 400,
    ApiCode.NOT_FOUND: 404,
    ApiCode.FAILED_PRECONDITION: 400,
    ApiCode.OUT_OF_RANGE: 400,
    ApiCode.UNIMPLEMENTED: 501,
    ApiCode.INTERNAL: 500,
    ApiCode.UNAVAILABLE: 503,
}


class ApiError(Shape, frozen=True):
    """Any error's body."""

    code: int
    message: str
    details: list[dict[str, object]] = []


# live


class TickInfo(Shape, frozen=True):
    """The tick that the network works on."""

    tick: int
    duration: int
    """Milliseconds spent in it."""
    epoch: int
    initial_tick: int


class TickInfoReply(Shape, frozen=True):
    """GET /live/v1/tick-info."""

    tick_info: TickInfo


class BlockHeightReply(Shape, frozen=True):
    """GET /live/v1/block-height, the older name of the same."""

    block_height: TickInfo


class Balance(Shape, frozen=True):
    """An entity; amounts are strings."""

    id: str
    balance: str
    valid_for_tick: int
    latest_incoming_transfer_tick: int
    latest_outgoing_transfer_tick: int
    incoming_amount: str
    outgoing_amount: str
    number_of_incoming_transfers: int
    number_of_outgoing_transfers: int


class BalanceReply(Shape, frozen=True):
    """GET /live/v1/balances/{identity}."""

    balance: Balance


class BroadcastRequest(Shape, frozen=True):
    """POST /live/v1/broadcast-transaction."""

    encoded_transaction: str
    """Base64 of the signed transaction."""


class BroadcastReply(Shape, frozen=True):
    """The transaction was relayed; that says nothing about its acceptance."""

    peers_broadcasted: int
    encoded_transaction: str
    transaction_id: str


class ContractQuery(Shape, frozen=True):
    """POST /live/v1/querySmartContract."""

    contract_index: int
    input_type: int
    input_size: int = 0
    request_data: str = ""
    """Base64 of the function's input."""


class ContractQueryReply(Shape, frozen=True):
    """Base64 of the output, empty for a failed call."""

    response_data: str


# query


class LastProcessedTick(Shape, frozen=True):
    """GET /query/v1/getLastProcessedTick."""

    tick_number: int
    epoch: int
    interval_initial_tick: int
    last_processed_log_tick: int


class TickInterval(Shape, frozen=True):
    """One of GET /query/v1/getProcessedTickIntervals, whose answer is a bare array."""

    epoch: int
    first_tick: int
    last_tick: int


class TransactionQuery(Shape, frozen=True):
    """POST /query/v1/getTransactionByHash."""

    hash: str


class TickQuery(Shape, frozen=True):
    """POST /query/v1/getTransactionsForTick and getTickData."""

    tick_number: int


class Transaction(Shape, frozen=True):
    """A processed transaction; bare as the answer of getTransactionByHash."""

    hash: str
    amount: str
    source: str
    destination: str
    tick_number: int
    timestamp: str
    """Epoch milliseconds."""
    input_type: int
    input_size: int
    input_data: str
    signature: str
    money_flew: bool


class TickData(Shape, frozen=True):
    """A tick's list of transactions."""

    tick_number: int
    epoch: int
    computor_index: int
    timestamp: str
    var_struct: str
    time_lock: str
    transaction_hashes: list[str]
    contract_fees: list[str]
    signature: str


class TickDataReply(Shape, frozen=True):
    """POST /query/v1/getTickData; None for an empty tick."""

    tick_data: TickData | None


# old paths


class LatestTickReply(Shape, frozen=True):
    """GET /v1/latestTick."""

    latest_tick: int


class ProcessedTick(Shape, frozen=True):
    """How far the archive has come."""

    tick_number: int
    epoch: int


class ProcessedInterval(Shape, frozen=True):
    """A gapless run of ticks."""

    initial_processed_tick: int
    last_processed_tick: int


class EpochIntervals(Shape, frozen=True):
    """An epoch's runs of ticks."""

    epoch: int
    intervals: list[ProcessedInterval]


class StatusReply(Shape, frozen=True):
    """GET /v1/status."""

    last_processed_tick: ProcessedTick
    last_processed_ticks_per_epoch: dict[str, int]
    processed_tick_intervals_per_epoch: list[EpochIntervals]


class OldTransaction(Shape, frozen=True):
    """A transaction as the old archiver names its fields."""

    source_id: str
    dest_id: str
    amount: str
    tick_number: int
    input_type: int
    input_size: int
    input_hex: str
    signature_hex: str
    tx_id: str


class OldTransactionReply(Shape, frozen=True):
    """GET /v1/transactions/{id}."""

    transaction: OldTransaction


class TransactionStatus(Shape, frozen=True):
    """Whether money moved."""

    tx_id: str
    money_flew: bool


class TransactionStatusReply(Shape, frozen=True):
    """GET /v1/tx-status/{id}."""

    transaction_status: TransactionStatus


class ApprovedTransactionsReply(Shape, frozen=True):
    """GET /v1/ticks/{tick}/approved-transactions: those whose money moved."""

    approved_transactions: list[OldTransaction]


class OldTransactionData(Shape, frozen=True):
    """A transaction with what became of it, as /v2 gives it."""

    transaction: OldTransaction
    timestamp: str
    money_flew: bool


class OldTransactionsReply(Shape, frozen=True):
    """GET /v2/ticks/{tick}/transactions."""

    transactions: list[OldTransactionData]


class OldTickData(Shape, frozen=True):
    """A tick's list as the old archiver names its fields."""

    computor_index: int
    epoch: int
    tick_number: int
    timestamp: str
    var_struct: str
    time_lock: str
    transaction_ids: list[str]
    contract_fees: list[str]
    signature_hex: str


class OldTickDataReply(Shape, frozen=True):
    """GET /v1/ticks/{tick}/tick-data."""

    tick_data: OldTickData | None


class Computors(Shape, frozen=True):
    """An epoch's leaders."""

    epoch: int
    identities: list[str]
    signature_hex: str


class ComputorsReply(Shape, frozen=True):
    """GET /v1/epochs/{epoch}/computors."""

    computors: Computors


class Stats(Shape, frozen=True):
    """Numbers for explorers."""

    timestamp: str
    circulating_supply: str
    active_addresses: int
    price: float
    market_cap: str
    epoch: int
    current_tick: int
    ticks_in_current_epoch: int
    empty_ticks_in_current_epoch: int
    epoch_tick_quality: float
    burned_qus: str


class StatsReply(Shape, frozen=True):
    """GET /v1/latest-stats."""

    data: Stats


def parse_int64(text: str) -> int:
    """Return the number in one of the API's strings; ValueError for anything else."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        raise ValueError(f"{text[:32]!r} is not a 64-bit number")
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{text!r} is not a 64-bit number")
    return number
