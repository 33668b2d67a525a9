"""What the HTTP API answers: shapes of http_api filled from a :class:`Devnet`, without I/O."""

import base64
from collections.abc import Callable
from typing import Final

from realtime_devnet.devnet import Devnet
from realtime_devnet.genesis import EPOCH
from realtime_devnet.network import Processed, Refusal
from realtime_protocol.identity import (
    encode_digest_id,
    encode_identity,
    parse_digest_id,
    parse_identity,
)
from realtime_protocol.qubic import http_api as api
from realtime_protocol.qubic.http_api import ApiCode
from realtime_protocol.qubic.node_wire import COMPUTORS, TickData
from realtime_protocol.transaction import parse_transaction, transaction_digest

PEERS: Final = 1
"""A devnet has one node."""
_SIGNATURE_BYTES: Final = 64
_CONTRACT_INPUT_BYTES_MAX: Final = 0xFFFF


class ApiRefusal(Exception):  # noqa: N818  (an expected answer, not a fault)
    """An error that the API answers with."""

    def __init__(self, code: ApiCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class HttpAnswers:
    """One method a path; each raises :class:`ApiRefusal` as the public services would."""

    def __init__(self, devnet: Devnet, *, spent_ms: Callable[[], int]) -> None:
        self._devnet = devnet
        self._spent_ms = spent_ms

    @property
    def last_processed_tick(self) -> int:
        """The tick up to which the archive has come."""
        return self._devnet.tick - 1

    @property
    def initial_tick(self) -> int:
        """The epoch's first tick."""
        return self._devnet.network.genesis.start_tick

    # live

    def tick_info(self) -> api.TickInfoReply:
        """Return the current tick."""
        return api.TickInfoReply(self._tick_info())

    def block_height(self) -> api.BlockHeightReply:
        """Return the current tick under its older name."""
        return api.BlockHeightReply(self._tick_info())

    def balance(self, identity: str) -> api.BalanceReply:
        """Return an account; zeros when the spectrum doesn't know it."""
        try:
            public_key = parse_identity(identity)
        except ValueError as error:
            raise ApiRefusal(ApiCode.INVALID_ARGUMENT, f"invalid identity: {error}") from error
        found = self._devnet.entity(public_key)
        return api.BalanceReply(
            api.Balance(
                id=identity,
                balance=str(0 if found is None else found.balance_qu),
                # What was processed last is what the balance holds for.
                valid_for_tick=self._devnet.tick,
                latest_incoming_transfer_tick=0 if found is None else found.latest_incoming_tick,
                latest_outgoing_transfer_tick=0 if found is None else found.latest_outgoing_tick,
                incoming_amount=str(0 if found is None else found.incoming_qu),
                outgoing_amount=str(0 if found is None else found.outgoing_qu),
                number_of_incoming_transfers=0 if found is None else found.incoming_count,
                number_of_outgoing_transfers=0 if found is None else found.outgoing_count,
            )
        )

    def broadcast(self, request: api.BroadcastRequest) -> api.BroadcastReply:
        """Hand a transaction to the node. The answer says that it was relayed, not accepted."""
        signed = _base64(request.encoded_transaction, ApiCode.INVALID_ARGUMENT)
        try:
            transaction = parse_transaction(signed)
        except ValueError as error:
            raise ApiRefusal(ApiCode.INTERNAL, f"parsing transaction: {error}") from error
        if transaction.tick <= self._devnet.tick:
            raise ApiRefusal(
                ApiCode.INVALID_ARGUMENT,
                f"Target tick: {transaction.tick} for the transaction should be greater than max "
                f"tick: {self._devnet.tick}",
            )
        if self._devnet.submit(signed) is Refusal.BAD_SIGNATURE:
            raise ApiRefusal(ApiCode.INVALID_ARGUMENT, "tx signature verification failed")
        return api.BroadcastReply(
            peers_broadcasted=PEERS,
            encoded_transaction=request.encoded_transaction,
            transaction_id=encode_digest_id(transaction_digest(signed)),
        )

    def query_contract(self, query: api.ContractQuery) -> api.ContractQueryReply:
        """Call a contract's function."""
        payload = _base64(query.request_data, ApiCode.FAILED_PRECONDITION)
        if len(payload) != query.input_size or len(payload) > _CONTRACT_INPUT_BYTES_MAX:
            raise ApiRefusal(
                ApiCode.INVALID_ARGUMENT,
                f"inputSize is {query.input_size}, requestData has {len(payload)} bytes",
            )
        output = self._devnet.network.call_function(query.contract_index, query.input_type, payload)
        return api.ContractQueryReply(base64.b64encode(output).decode())

    # query

    def last_processed(self) -> api.LastProcessedTick:
        """Return how far the archive has come."""
        last = self.last_processed_tick
        return api.LastProcessedTick(last, EPOCH, self.initial_tick, last)

    def intervals(self) -> list[api.TickInterval]:
        """Return the one run of ticks."""
        return [api.TickInterval(EPOCH, self.initial_tick, self.last_processed_tick)]

    def transaction_by_hash(self, query: api.TransactionQuery) -> api.Transaction:
        """Return a processed transaction; 404 means never, once its tick is processed."""
        return _transaction(self._processed(query.hash))

    def transactions_for_tick(self, query: api.TickQuery) -> list[api.Transaction]:
        """Return a processed tick's transactions."""
        self._require_processed(query.tick_number)
        return [_transaction(found) for found in self._devnet.processed(query.tick_number)]

    def tick_data(self, query: api.TickQuery) -> api.TickDataReply:
        """Return a processed tick's list; None for an empty one."""
        data = self._tick_data(query.tick_number)
        if data is None:
            return api.TickDataReply(None)
        return api.TickDataReply(
            api.TickData(
                tick_number=data.tick,
                epoch=data.epoch,
                computor_index=data.computor_index,
                timestamp=str(data.time.epoch_ms()),
                var_struct="",
                time_lock=base64.b64encode(data.timelock).decode(),
                transaction_hashes=[encode_digest_id(digest) for digest in data.digests],
                contract_fees=[str(fee) for fee in data.contract_fees_qu()],
                signature=base64.b64encode(data.signature).decode(),
            )
        )

    # old paths

    def latest_tick(self) -> api.LatestTickReply:
        """Return the current tick."""
        return api.LatestTickReply(self._devnet.tick)

    def status(self) -> api.StatusReply:
        """Return how far the archive has come."""
        last = self.last_processed_tick
        run = api.ProcessedInterval(self.initial_tick, last)
        return api.StatusReply(
            last_processed_tick=api.ProcessedTick(last, EPOCH),
            last_processed_ticks_per_epoch={str(EPOCH): last},
            processed_tick_intervals_per_epoch=[api.EpochIntervals(EPOCH, [run])],
        )

    def old_transaction(self, transaction_id: str) -> api.OldTransactionReply:
        """Return a processed transaction."""
        return api.OldTransactionReply(_old_transaction(self._processed(transaction_id)))

    def transaction_status(self, transaction_id: str) -> api.TransactionStatusReply:
        """Tell whether money flew."""
        found = self._processed(transaction_id)
        return api.TransactionStatusReply(
            api.TransactionStatus(encode_digest_id(found.digest), found.money_flew)
        )

    def approved_transactions(self, tick: int) -> api.ApprovedTransactionsReply:
        """Return those of a tick whose money flew."""
        self._require_processed(tick)
        found = self._devnet.processed(tick)
        return api.ApprovedTransactionsReply(
            [_old_transaction(done) for done in found if done.money_flew]
        )

    def old_transactions(self, tick: int) -> api.OldTransactionsReply:
        """Return a tick's transactions with what became of them."""
        self._require_processed(tick)
        return api.OldTransactionsReply(
            [
                api.OldTransactionData(_old_transaction(done), str(done.time_ms), done.money_flew)
                for done in self._devnet.processed(tick)
            ]
        )

    def old_tick_data(self, tick: int) -> api.OldTickDataReply:
        """Return a processed tick's list."""
        data = self._tick_data(tick)
        if data is None:
            return api.OldTickDataReply(None)
        return api.OldTickDataReply(
            api.OldTickData(
                computor_index=data.computor_index,
                epoch=data.epoch,
                tick_number=data.tick,
                timestamp=str(data.time.epoch_ms()),
                var_struct="",
                time_lock=base64.b64encode(data.timelock).decode(),
                transaction_ids=[encode_digest_id(digest) for digest in data.digests],
                contract_fees=[str(fee) for fee in data.contract_fees_qu()],
                signature_hex=data.signature.hex(),
            )
        )

    def computors(self, epoch: int) -> api.ComputorsReply:
        """Return the leaders: one key in all places."""
        if epoch != EPOCH:
            raise ApiRefusal(ApiCode.NOT_FOUND, f"computors for epoch {epoch} not found")
        identity = encode_identity(self._devnet.network.computor.public_key)
        return api.ComputorsReply(api.Computors(EPOCH, [identity] * COMPUTORS, ""))

    def stats(self) -> api.StatsReply:
        """Return numbers for explorers; a devnet's money has no price."""
        network = self._devnet.network
        ticks = self._devnet.tick - self.initial_tick
        empty = self._devnet.empty_ticks_count()
        return api.StatsReply(
            api.Stats(
                timestamp=str(network.clock_ms // 1000),
                circulating_supply=str(network.ledger.supply_qu()),
                active_addresses=len(network.ledger),
                price=0.0,
                market_cap="0",
                epoch=EPOCH,
                current_tick=network.tick,
                ticks_in_current_epoch=ticks,
                empty_ticks_in_current_epoch=empty,
                epoch_tick_quality=round(100 * (ticks - empty) / ticks, 2) if ticks else 0.0,
                burned_qus="0",
            )
        )

    def _tick_info(self) -> api.TickInfo:
        return api.TickInfo(
            tick=self._devnet.tick,
            duration=self._spent_ms(),
            epoch=EPOCH,
            initial_tick=self.initial_tick,
        )

    def _processed(self, transaction_id: str) -> Processed:
        try:
            digest = parse_digest_id(transaction_id)
        except ValueError as error:
            raise ApiRefusal(ApiCode.INVALID_ARGUMENT, f"invalid id format: {error}") from error
        found = self._devnet.transaction(digest)
        if found is None:
            raise ApiRefusal(ApiCode.NOT_FOUND, "transaction not found")
        return found

    def _tick_data(self, tick: int) -> TickData | None:
        self._require_processed(tick)
        return self._devnet.tick_data(tick)

    def _require_processed(self, tick: int) -> None:
        last = self.last_processed_tick
        if tick > last:
            raise ApiRefusal(
                ApiCode.INVALID_ARGUMENT,
                f"invalid tick number: requested tick number {tick} is greater than last "
                f"processed tick {last}",
            )
        if tick < self.initial_tick:
            raise ApiRefusal(
                ApiCode.INVALID_ARGUMENT,
                f"invalid tick number: provided tick number {tick} was skipped by the system, "
                f"next available tick is {self.initial_tick}",
            )


def _transaction(done: Processed) -> api.Transaction:
    transaction = parse_transaction(done.signed)
    return api.Transaction(
        hash=encode_digest_id(done.digest),
        amount=str(transaction.amount_qu),
        source=encode_identity(transaction.source),
        destination=encode_identity(transaction.destination),
        tick_number=done.tick,
        timestamp=str(done.time_ms),
        input_type=transaction.input_type,
        input_size=len(transaction.payload),
        input_data=base64.b64encode(transaction.payload).decode(),
        signature=base64.b64encode(done.signed[-_SIGNATURE_BYTES:]).decode(),
        money_flew=done.money_flew,
    )


def _old_transaction(done: Processed) -> api.OldTransaction:
    transaction = parse_transaction(done.signed)
    return api.OldTransaction(
        source_id=encode_identity(transaction.source),
        dest_id=encode_identity(transaction.destination),
        amount=str(transaction.amount_qu),
        tick_number=done.tick,
        input_type=transaction.input_type,
        input_size=len(transaction.payload),
        input_hex=transaction.payload.hex(),
        signature_hex=done.signed[-_SIGNATURE_BYTES:].hex(),
        tx_id=encode_digest_id(done.digest),
    )


def _base64(text: str, code: ApiCode) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ApiRefusal(code, f"decoding base64: {error}") from error
