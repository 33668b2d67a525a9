"""A devnet's HTTP API, called as ts-library's examples and QubiPy call the public one."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from devnet_fixture import running_devnet, transfer
from realtime_devnet.serving import DevnetServer
from realtime_protocol.identity import encode_digest_id
from realtime_protocol.transaction import transaction_digest

# Node's fetch with the headers of ts-library's examples, and requests with QubiPy's.
TS_LIBRARY = {
    "accept": "application/json",
    "content-type": "application/json",
    "accept-language": "*",
    "sec-fetch-mode": "cors",
    "user-agent": "node",
    "accept-encoding": "gzip, deflate",
}
QUBIPY = {
    "User-Agent": "python-requests/2.32.3",
    "Accept-Encoding": "gzip, deflate",
    "accept": "application/json",
    "Connection": "keep-alive",
    "Content-Type": "application/json",
}


async def called(
    server: DevnetServer,
    method: str,
    path: str,
    body: object = None,
    *,
    headers: Mapping[str, str] = QUBIPY,
    raw: bytes | None = None,
) -> tuple[int, Any]:
    """Send the request's bytes and return status and JSON."""
    payload = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.info.http_port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if payload:
        lines.append(f"Content-Length: {len(payload)}")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.info.http_port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
        async with asyncio.timeout(5):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.split("content-length: ")[1].split("\r\n")[0])
            content = await reader.readexactly(size)
    finally:
        writer.close()
        await writer.wait_closed()
    assert "content-type: application/json" in head
    return int(head.split()[1]), json.loads(content)


def order(server: DevnetServer, amount_qu: int = 5, *, ahead: int = 3) -> bytes:
    payer, payee = server.info.wallets[:2]
    return transfer(payer, payee.public_key, amount_qu, server.devnet.tick + ahead)


def encoded(signed: bytes) -> dict[str, str]:
    return {"encodedTransaction": base64.b64encode(signed).decode()}


async def test_ts_library_s_examples_run() -> None:
    async with running_devnet() as server:
        server.step()
        status, body = await called(server, "GET", "/v1/status", headers=TS_LIBRARY)
        assert status == 200
        tick = body["lastProcessedTick"]["tickNumber"]
        assert tick == server.devnet.tick - 1
        signed = order(server, 77, ahead=9)
        status, body = await called(
            server, "POST", "/v1/broadcast-transaction", encoded(signed), headers=TS_LIBRARY
        )
        assert (status, body["peersBroadcasted"]) == (200, 1)
        server.step(10)
        target = server.devnet.tick - 1
        _, body = await called(
            server, "GET", f"/v1/ticks/{target}/approved-transactions", headers=TS_LIBRARY
        )
        (approved,) = body["approvedTransactions"]
        assert approved["amount"] == "77"
        _, body = await called(
            server,
            "GET",
            f"/v2/ticks/{target}/transactions?transfers=true&approved=true",
            headers=TS_LIBRARY,
        )
        (found,) = body["transactions"]
        assert found["transaction"] == approved
        assert found["moneyFlew"] is True


async def test_qubipy_s_calls_of_the_old_paths() -> None:
    async with running_devnet() as server:
        payer, payee = server.info.wallets[:2]
        status, body = await called(server, "GET", "/v1/latestTick")
        assert (status, body) == (200, {"latestTick": 1_000_000})
        _, body = await called(server, "GET", f"/v1/balances/{payee.identity}")
        assert body["balance"] == {
            "id": payee.identity,
            "balance": "1000000000",
            "validForTick": 1_000_000,
            "latestIncomingTransferTick": 1_000_000,
            "latestOutgoingTransferTick": 0,
            "incomingAmount": "1000000000",
            "outgoingAmount": "0",
            "numberOfIncomingTransfers": 1,
            "numberOfOutgoingTransfers": 0,
        }
        signed = order(server)
        transaction_id = encode_digest_id(transaction_digest(signed))
        _, body = await called(server, "POST", "/v1/broadcast-transaction", encoded(signed))
        assert body == {
            "peersBroadcasted": 1,
            **encoded(signed),
            "transactionId": transaction_id,
        }
        server.step(4)
        _, body = await called(server, "GET", f"/v1/transactions/{transaction_id}")
        assert body["transaction"] == {
            "sourceId": payer.identity,
            "destId": payee.identity,
            "amount": "5",
            "tickNumber": 1_000_003,
            "inputType": 0,
            "inputSize": 0,
            "inputHex": "",
            "signatureHex": signed[-64:].hex(),
            "txId": transaction_id,
        }
        _, body = await called(server, "GET", f"/v1/tx-status/{transaction_id}")
        assert body == {"transactionStatus": {"txId": transaction_id, "moneyFlew": True}}
        _, body = await called(server, "GET", "/v1/ticks/1000003/tick-data")
        assert body["tickData"]["transactionIds"] == [transaction_id]
        _, body = await called(server, "GET", "/v1/tick-info")
        assert body["tickInfo"]["tick"] == 1_000_004
        _, body = await called(server, "GET", "/v1/block-height")
        assert body["blockHeight"]["initialTick"] == 1_000_000
        _, body = await called(server, "GET", "/v1/epochs/1/computors")
        assert len(body["computors"]["identities"]) == 676
        _, body = await called(server, "GET", "/v1/latest-stats")
        assert body["data"]["emptyTicksInCurrentEpoch"] == 3


async def test_qubipy_asks_contracts_with_numbers_as_text_too() -> None:
    async with running_devnet() as server:
        for index in (29, "29"):
            query = {"contractIndex": index, "inputType": 4, "inputSize": 0, "requestData": ""}
            _, body = await called(server, "POST", "/v1/querySmartContract", query)
            assert base64.b64decode(body["responseData"])[:8] == b"TURBOAU1"
        query = {"contractIndex": 28, "inputType": 4, "inputSize": 0, "requestData": ""}
        assert (await called(server, "POST", "/live/v1/querySmartContract", query))[1] == {
            "responseData": ""
        }


async def test_the_integration_guide_s_recipe() -> None:
    async with running_devnet() as server:
        _, body = await called(server, "GET", "/live/v1/tick-info")
        info = body["tickInfo"]
        assert (info["tick"], info["epoch"], info["initialTick"]) == (1_000_000, 1, 1_000_000)
        signed = order(server, ahead=15)
        missed = order(server, 6, ahead=2)
        for each in (signed, missed):
            status, body = await called(
                server, "POST", "/live/v1/broadcast-transaction", encoded(each)
            )
            assert status == 200, "relayed, which says nothing about its fate"
        server.step(16)
        _, body = await called(server, "GET", "/query/v1/getLastProcessedTick")
        assert body["tickNumber"] == 1_000_015
        query = {"hash": encode_digest_id(transaction_digest(signed))}
        _, body = await called(server, "POST", "/query/v1/getTransactionByHash", query)
        assert body["moneyFlew"] is True
        assert (body["tickNumber"], body["amount"], body["inputData"]) == (1_000_015, "5", "")
        query = {"hash": encode_digest_id(transaction_digest(missed))}
        status, body = await called(server, "POST", "/query/v1/getTransactionByHash", query)
        assert (status, body) == (
            404,
            {"code": 5, "message": "transaction not found", "details": []},
        )


async def test_ticks_of_the_query_service() -> None:
    async with running_devnet() as server:
        signed = order(server)
        server.devnet.submit(signed)
        server.step(6)
        transaction_id = encode_digest_id(transaction_digest(signed))
        _, body = await called(server, "GET", "/query/v1/getProcessedTickIntervals")
        assert body == [{"epoch": 1, "firstTick": 1_000_000, "lastTick": 1_000_005}]
        ask = {"tickNumber": 1_000_003}
        _, body = await called(server, "POST", "/query/v1/getTickData", ask)
        assert body["tickData"]["transactionHashes"] == [transaction_id]
        _, body = await called(server, "POST", "/query/v1/getTransactionsForTick", ask)
        assert [found["hash"] for found in body] == [transaction_id]
        _, body = await called(server, "POST", "/query/v1/getTickData", {"tickNumber": 1_000_004})
        assert body == {"tickData": None}
        for tick, words in ((1_000_006, "greater than last processed"), (5, "was skipped")):
            status, body = await called(
                server, "POST", "/query/v1/getTickData", {"tickNumber": tick}
            )
            assert (status, body["code"]) == (400, 3)
            assert words in body["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("broadcast-transaction", {"encodedTransaction": "?"}, 400, "base64"),
        ("broadcast-transaction", {"encodedTransaction": "AAAA"}, 500, "parsing"),
        ("broadcast-transaction", {}, 400, "encodedTransaction"),
        ("broadcast-transaction", [], 400, "invalid request"),
        ("querySmartContract", {"contractIndex": 29, "inputType": 4}, 200, ""),
        (
            "querySmartContract",
            {"contractIndex": 29, "inputType": 1, "inputSize": 5, "requestData": "AAAA"},
            400,
            "inputSize",
        ),
        ("querySmartContract", {"contractIndex": "x", "inputType": 1}, 400, "contractIndex"),
    ],
)
async def test_bad_requests_are_told_why(path: str, body: object, status: int, words: str) -> None:
    async with running_devnet() as server:
        answered, error = await called(server, "POST", f"/live/v1/{path}", body)
        assert answered == status
        assert words in error.get("message", "")


async def test_a_transaction_that_can_t_come_in_time_or_is_forged_is_refused() -> None:
    async with running_devnet() as server:
        server.step(5)
        late = order(server, ahead=0)
        forged = order(server)[:-1] + b"\1"
        for signed, words in ((late, "should be greater than max tick: 1000005"), (forged, "sig")):
            status, error = await called(
                server, "POST", "/live/v1/broadcast-transaction", encoded(signed)
            )
            assert (status, error["code"]) == (400, 3)
            assert words in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/live/v1/balances/NOBODY", 400),
        ("GET", "/v1/transactions/nothing", 400),
        ("GET", f"/v1/transactions/{'a' * 55 + 'bagme'}", 400),
        ("GET", "/v1/ticks/x/tick-data", 400),
        ("GET", f"/v1/ticks/{'9' * 5000}/tick-data", 400),
        ("GET", "/v1/epochs/2/computors", 404),
        ("GET", "/v1/healthcheck", 404),
        ("GET", "/", 404),
        ("POST", "/live/v1/tick-info", 405),
    ],
)
async def test_what_isn_t_there_is_an_error_of_the_api_s_form(
    method: str, path: str, status: int
) -> None:
    async with running_devnet() as server:
        answered, error = await called(server, method, path)
        assert answered == status
        assert error.keys() == {"code", "message", "details"}


async def test_a_body_beyond_the_bound_is_refused() -> None:
    async with running_devnet() as server:
        raw = b'{"encodedTransaction":"' + b"A" * 200_000 + b'"}'
        status, error = await called(server, "POST", "/live/v1/broadcast-transaction", raw=raw)
        assert (status, "at most" in error["message"]) == (400, True)
