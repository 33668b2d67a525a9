import assert from "node:assert/strict";
import { test } from "node:test";

import {
  ConnectionClosed, OutcomeUnknown, Refused, RemoteProtocolError, RequestError,
} from "./errors.js";
import type { PaymentStatus, Quote } from "./messages.js";
import { connect, type ConnectOptions, type Session } from "./session.js";
import {
  FakeHub, HUB_URL, KEY, Refusal, SIGNATURE, makeSigner, makeUnsigned, until,
} from "./testing/fake-hub.js";
import {
  CloseCode, ErrorCode, PaymentState, PrepareKind, PushType, RequestType, TrustStatus,
} from "./tables.js";

const PAYEE = new Uint8Array(32).fill(9);
const PAYMENT_ID = new Uint8Array(16).fill(5);
const EPOCH = new Uint8Array(8).fill(1);
const WISH = { destination: PAYEE, amountQu: 1_000 };

const open = (hub: FakeHub, options: ConnectOptions = {}): Promise<Session> =>
  connect(HUB_URL, makeSigner(), { webSocket: hub.webSocket, random: () => 0, ...options });

function serveSubscriptions(hub: FakeHub, snapshot: unknown[] | null = null): void {
  hub.on(RequestType.SUBSCRIBE, ({ position }) => ({
    sub: 1, epoch: EPOCH, head: 10, snapshot: position ? null : snapshot,
    recovered: position !== null,
  }));
}

const QUOTE: Quote = {
  quoteId: new Uint8Array(16).fill(4), graphVersion: 1,
  route: { routeId: "direct", kind: "direct", hops: [KEY, PAYEE] }, alternatives: [], feeQu: 0,
  estMs: 5, validUntilTick: 60, executable: true, partial: false, hubSignature: null,
};

function serveQuotes(hub: FakeHub, ...quotes: Quote[]): void {
  hub.on(RequestType.QUOTE_OPEN, (_, socket) => {
    queueMicrotask(() => quotes.forEach((quote) => socket.push(PushType.QUOTE, 2, 0, quote)));
    return { sub: 2 };
  });
}

function servePayments(hub: FakeHub): void {
  serveSubscriptions(hub);
  serveQuotes(hub, QUOTE);
  hub.on(RequestType.PAY_PREPARE, ({ kind }) => {
    const again = kind === PrepareKind.AGAIN;
    const tick = again ? 70 : 50;
    const unsignedTx = makeUnsigned({ ...WISH, tick });
    return { unsignedTx, tick, quoteId: QUOTE.quoteId, attempt: again ? 1 : 0 };
  });
  hub.on(RequestType.PAY, ({ attempt }) => ({
    paymentId: PAYMENT_ID, state: PaymentState.ACCEPTED, attempt,
  }));
}

function status(stateSeq: number, state: PaymentState): PaymentStatus {
  return {
    paymentId: PAYMENT_ID, stateSeq, state, tick: 50, txid: new Uint8Array(32), level: 0,
    detail: null,
  };
}

function trustChanged(to: TrustStatus) {
  return {
    wallet: KEY, status: to, score: 1, reason: 0, initiator: 1 as const, eventMs: 1,
    useUntilMs: 2, pending: false,
  };
}

test("a login signs the hub's text and offers the msgpack subprotocol", async () => {
  const hub = new FakeHub();
  const texts: string[] = [];
  const signer = makeSigner({
    sign: async (text) => {
      texts.push(text);
      return SIGNATURE;
    },
  });
  const session = await connect(HUB_URL, signer, { webSocket: hub.webSocket });
  assert.match(texts[0] ?? "", /^hub\.test:8080 wants you to sign in/);
  const [sent] = hub.bodies(RequestType.LOGIN);
  const resources = texts[0]?.split("\n").filter((line) => line.startsWith("- "));
  assert.deepEqual(sent?.resources.map((line) => `- ${line}`), resources);
  assert.deepEqual({ ...sent, resources: [] }, {
    scheme: signer.scheme, wallet: KEY, signature: SIGNATURE, resources: [],
  });
  assert.deepEqual(hub.last.protocols, ["realtime.qubic.v1.msgpack"]);
  assert.deepEqual(session.login.scopes, ["trust", "quote", "pay"]);
  await session.close();
  assert.equal(hub.last.closed?.code, 1000);
});

test("a challenge for another place is refused before anything is signed", async () => {
  for (const challenge of [{ uri: "ws://evil.test/v1" }, { domain: "evil.test" }]) {
    const hub = new FakeHub();
    hub.challenge = challenge;
    const sign = async (): Promise<Uint8Array> => assert.fail("signed");
    const opening = connect(HUB_URL, makeSigner({ sign }), { webSocket: hub.webSocket });
    await assert.rejects(opening, Refused);
    assert.ok(hub.last.closed);
  }
});

test("a wallet that needs longer gets a challenge of its own", async () => {
  const hub = new FakeHub();
  const session = await open(hub, { signWithinMs: 120_000 });
  assert.deepEqual(hub.bodies(RequestType.CHALLENGE), [{ ttlMs: 120_000 }]);
  await session.close();
});

test("a refused login is a typed error, and the connection is closed", async () => {
  const hub = new FakeHub();
  hub.on(RequestType.LOGIN, () => new Refusal(ErrorCode.WALLET_BLOCKED, { message: "blocked" }));
  await assert.rejects(open(hub), (error) =>
    error instanceof RequestError && error.code === 206 && !error.retry);
  assert.ok(hub.last.closed);
});

test("an unreadable frame closes 4500 and ends the session", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  const over = new Promise<Error | null>((resolve) => session.on("closed", (e) => resolve(e.why)));
  hub.last.deliverBytes(Uint8Array.of(0xc1));
  const why = await over;
  assert.equal(hub.last.closed?.code, CloseCode.PROTOCOL_ERROR);
  assert.ok(why instanceof ConnectionClosed && why.cause instanceof RemoteProtocolError);
});

test("trust comes as a snapshot, then changes, and leaving unsubscribes", async () => {
  const hub = new FakeHub();
  serveSubscriptions(hub, [[KEY, [1, 80, 3, 0, 3, 5, 9]]]);
  const session = await open(hub);
  const events = await session.trust.subscribe();
  hub.last.push(PushType.TRUST_CHANGED, 1, 11, trustChanged(TrustStatus.BLOCKED));
  const kinds: string[] = [];
  for await (const event of events) {
    kinds.push(event.kind);
    if (event.kind === "changed") {
      assert.equal(event.change.status, TrustStatus.BLOCKED);
      break;
    }
  }
  assert.deepEqual(kinds, ["snapshot", "changed"]);
  await until(() => hub.bodies(RequestType.UNSUBSCRIBE).length === 1);
  await session.close();
});

test("a change without a place is always news and moves no position", async () => {
  const hub = new FakeHub();
  serveSubscriptions(hub, []);
  const session = await open(hub);
  const events = await session.trust.subscribe();
  hub.last.push(PushType.TRUST_CHANGED, 1, 11, trustChanged(TrustStatus.ACTIVE));
  for (const status of [TrustStatus.BLOCKED, TrustStatus.ACTIVE]) {
    hub.last.push(PushType.TRUST_CHANGED, 1, 0, trustChanged(status));
  }
  hub.last.push(PushType.TRUST_CHANGED, 1, 11, trustChanged(TrustStatus.UNKNOWN));
  hub.last.push(PushType.TRUST_CHANGED, 1, 12, trustChanged(TrustStatus.BLOCKED));
  const seen: number[] = [];
  for await (const event of events) {
    if (event.kind === "changed" && seen.push(event.offset) === 4) break;
  }
  assert.deepEqual(seen, [11, 0, 0, 12]);
  await session.close();
});

test("a session that is gone is logged in to again, and resubscribes from its position", async () => {
  const hub = new FakeHub();
  serveSubscriptions(hub, []);
  const session = await open(hub);
  const events = await session.trust.subscribe();
  hub.last.push(PushType.TRUST_CHANGED, 1, 11, trustChanged(TrustStatus.ACTIVE));
  const back = new Promise((resolve) => session.on("reconnected", resolve));
  hub.forgetSession();
  hub.last.cut(CloseCode.DRAINING, "draining");
  await back;
  assert.equal(hub.sockets.length, 2);
  assert.equal(hub.bodies(RequestType.LOGIN).length, 2);
  assert.deepEqual(hub.bodies(RequestType.SUBSCRIBE)[1]?.position, { epoch: EPOCH, offset: 11 });
  hub.last.push(PushType.TRUST_CHANGED, 1, 12, trustChanged(TrustStatus.BLOCKED));
  const seen: number[] = [];
  for await (const event of events) {
    if (event.kind === "changed" && seen.push(event.offset) === 2) break;
  }
  assert.deepEqual(seen, [11, 12]);
  await session.close();
});

test("a request whose answer was lost is sent again on the next connection", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  hub.on(RequestType.TRUST_GET, () => null);
  const asking = session.trust.get([KEY]);
  await until(() => hub.bodies(RequestType.TRUST_GET).length === 1);
  hub.on(RequestType.TRUST_GET, () => []);
  hub.last.cut(1006);
  assert.deepEqual(await asking, []);
  await session.close();
});

test("a close code of 4500 or more ends the session and its streams", async () => {
  const hub = new FakeHub();
  serveSubscriptions(hub, []);
  const session = await open(hub);
  const events = await session.trust.subscribe();
  hub.last.cut(CloseCode.WALLET_BLOCKED, "wallet_blocked");
  await assert.rejects(async () => {
    for await (const _ of events);
  }, (error) => error instanceof ConnectionClosed && error.code === 4503 && !error.retry);
  await assert.rejects(session.trust.get([KEY]), ConnectionClosed);
  assert.equal(hub.sockets.length, 1);
});

test("it gives up after the tries that it may make", async () => {
  const hub = new FakeHub();
  const session = await open(hub, { reconnectAttemptsMax: 2 });
  const over = new Promise<Error | null>((resolve) => session.on("closed", (e) => resolve(e.why)));
  hub.on(RequestType.RESUME, () => new Refusal(ErrorCode.OVERLOADED, null, 1));
  hub.last.cut(CloseCode.OVERLOADED, "overloaded;retry=1");
  const why = await over;
  assert.ok(why instanceof RequestError && why.code === 107);
  assert.equal(hub.sockets.length, 3);
});

test("goaway moves the session to another connection", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  const pauses: number[] = [];
  session.on("reconnecting", ({ pauseMs }) => pauses.push(pauseMs));
  const back = new Promise((resolve) => session.on("reconnected", resolve));
  hub.last.push(PushType.GOAWAY, 0, 0, { minMs: 7, maxMs: 9, cause: 0, resumeOk: false });
  await back;
  assert.deepEqual(pauses, [7]);
  await session.close();
});

test("a hub that answers no ping is left", async () => {
  const hub = new FakeHub();
  hub.on(RequestType.PING, () => null);
  const session = await open(hub, { pingIntervalMs: 2 });
  // The ping's own timer keeps no program alive; `until` does while it waits.
  await until(() => hub.sockets.length > 1);
  assert.equal(hub.sockets[0]?.closed?.code, CloseCode.NO_PONG);
  await session.close();
});

test("quotes are the newest only, and leaving closes the stream", async () => {
  const hub = new FakeHub();
  serveQuotes(hub, ...[3, 2, 1].map((feeQu) => ({ ...QUOTE, feeQu })));
  const session = await open(hub);
  for await (const quote of session.quotes(WISH)) {
    assert.equal(quote.feeQu, 1);
    break;
  }
  await until(() => hub.bodies(RequestType.QUOTE_CLOSE).length === 1);
  await session.close();
});

test("a stream of quotes that the hub refuses throws", async () => {
  const hub = new FakeHub();
  hub.on(RequestType.QUOTE_OPEN, () => new Refusal(ErrorCode.NO_ROUTE, { message: "max_fee" }));
  const session = await open(hub);
  await assert.rejects(session.quotes(WISH).next(), /300 no_route: max_fee/);
  await session.close();
});

test("a stream that the hub refuses after a loss ends alone", async () => {
  const hub = new FakeHub();
  serveSubscriptions(hub, []);
  hub.on(RequestType.QUOTE_OPEN, () => ({ sub: 2 }));
  const session = await open(hub);
  await session.trust.subscribe();
  const reading = assert.rejects(session.quotes(WISH).next(), /300 no_route/);
  await until(() => hub.bodies(RequestType.QUOTE_OPEN).length === 1);
  await new Promise((resolve) => setTimeout(resolve, 0));
  hub.on(RequestType.QUOTE_OPEN, () => new Refusal(ErrorCode.NO_ROUTE));
  const back = new Promise((resolve) => session.on("reconnected", resolve));
  hub.last.cut(1006);
  await Promise.all([reading, back]);
  assert.equal(hub.bodies(RequestType.RESUME)[0]?.subs.length, 1);
  await session.close();
});

test("a payment is prepared, checked, signed, handed over and followed to its end", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const session = await open(hub);
  const payment = await session.pay(WISH);
  const [sent] = hub.bodies(RequestType.PAY);
  assert.deepEqual(sent?.signedTx.subarray(80), SIGNATURE);
  const states = [PaymentState.ACCEPTED, PaymentState.BROADCAST, PaymentState.BROADCAST,
    PaymentState.INCLUDED, PaymentState.SETTLED];
  states.forEach((state, at) => {
    const stateSeq = at < 2 ? at + 1 : at; // The second broadcast is a repetition.
    hub.last.push(PushType.PAYMENT_STATUS, 1, 11 + at, status(stateSeq, state));
  });
  const seen: PaymentState[] = [];
  for await (const { state } of payment) seen.push(state);
  assert.deepEqual(seen, [0, 1, 2, 3]);
  assert.equal((await payment.end()).state, PaymentState.SETTLED);
  await session.close();
});

test("a prepared transaction that differs from the wish is never signed", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  hub.on(RequestType.PAY_PREPARE, () => ({
    unsignedTx: makeUnsigned({ ...WISH, amountQu: 1_001, tick: 50 }), tick: 50,
    quoteId: QUOTE.quoteId, attempt: 0,
  }));
  const signTransaction = async (): Promise<Uint8Array> => assert.fail("signed");
  const session = await connect(HUB_URL, makeSigner({ signTransaction }), {
    webSocket: hub.webSocket,
  });
  await assert.rejects(session.pay(WISH), (error) =>
    error instanceof Refused && error.code === "transaction");
  assert.deepEqual(hub.bodies(RequestType.PAY), []);
  await session.close();
});

test("a payment whose reply was lost is handed over again under the same key", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const session = await open(hub);
  hub.on(RequestType.PAY, () => null);
  const paying = session.pay(WISH);
  await until(() => hub.bodies(RequestType.PAY).length === 1);
  hub.on(RequestType.PAY, () => ({ paymentId: PAYMENT_ID, state: PaymentState.ACCEPTED, attempt: 0 }));
  hub.forgetSession();
  // The hub had taken it: its end comes with the snapshot, before the reply names the payment.
  hub.on(RequestType.SUBSCRIBE, () => ({
    sub: 1, epoch: EPOCH, head: 12, recovered: false,
    snapshot: [[PAYMENT_ID, 4, PaymentState.SETTLED, 50, new Uint8Array(32), 0, null]],
  }));
  hub.last.cut(1006);
  const payment = await paying;
  const [first, second] = hub.bodies(RequestType.PAY);
  assert.deepEqual(first, second);
  assert.equal((await payment.end()).state, PaymentState.SETTLED);
  await session.close();
});

test("a missed attempt is signed again under the same key, for a later tick", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const session = await open(hub);
  const payment = await session.pay(WISH);
  hub.last.push(PushType.PAYMENT_STATUS, 1, 11, status(2, PaymentState.MISSED));
  await until(() => hub.bodies(RequestType.PAY).length === 2);
  const [first, second] = hub.bodies(RequestType.PAY);
  assert.deepEqual(second?.idem, first?.idem);
  assert.equal(second?.attempt, 1);
  assert.deepEqual(hub.bodies(RequestType.PAY_PREPARE)[1]?.of, PAYMENT_ID);
  assert.equal(payment.signingError, null);
  await session.close();
});

test("a hub's mere wish for another signature is not enough: it is asked for the state", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  hub.on(RequestType.PAYMENT_GET, () => status(2, PaymentState.BROADCAST));
  const session = await open(hub);
  const payment = await session.pay(WISH);
  hub.last.push(PushType.PAY_RESIGN, 1, 11, { paymentId: PAYMENT_ID, reason: 0, deadlineMs: 1 });
  await until(() => payment.status?.state === PaymentState.BROADCAST);
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(hub.bodies(RequestType.PAY).length, 1);
  await session.close();
});

test("it signs no more often than it may, and never for a tick that is not later", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const session = await open(hub);
  const once = await session.pay(WISH, { attemptsMax: 1 });
  hub.last.push(PushType.PAYMENT_STATUS, 1, 11, status(2, PaymentState.MISSED));
  await until(() => once.status !== null);
  assert.equal(hub.bodies(RequestType.PAY_PREPARE).length, 1);

  hub.on(RequestType.PAY_PREPARE, ({ kind }) => ({
    unsignedTx: makeUnsigned({ ...WISH, tick: 50 }), tick: 50, quoteId: QUOTE.quoteId,
    attempt: kind === PrepareKind.AGAIN ? 1 : 0,
  }));
  const twice = await session.pay(WISH);
  hub.last.push(PushType.PAYMENT_STATUS, 1, 12, status(2, PaymentState.MISSED));
  await until(() => twice.signingError !== null);
  assert.ok(twice.signingError instanceof Refused);
  assert.equal(hub.bodies(RequestType.PAY).length, 2);
  await session.close();
});

test("a busy hub gets the same bytes again", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const session = await open(hub);
  hub.on(RequestType.PAY, ({ attempt }) =>
    hub.bodies(RequestType.PAY).length < 3
      ? new Refusal(ErrorCode.OVERLOADED, null, 1)
      : { paymentId: PAYMENT_ID, state: PaymentState.ACCEPTED, attempt });
  await session.pay(WISH);
  const [first, ...others] = hub.bodies(RequestType.PAY);
  assert.deepEqual(others, [first, first]);
  await session.close();
});

test("bytes handed over without an answer are an unknown outcome, not a failed payment", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const session = await open(hub);
  hub.on(RequestType.PAY, () => null);
  const paying = session.pay(WISH);
  await until(() => hub.bodies(RequestType.PAY).length === 1);
  hub.on(RequestType.RESUME, () => new Refusal(ErrorCode.WALLET_BLOCKED));
  hub.last.cut(1006);
  await assert.rejects(paying, (error) =>
    error instanceof OutcomeUnknown && error.request.signedTx.length === 144 && !error.retry);
});

test("outcome_unknown is no leave to sign anew", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  hub.on(RequestType.PAY, () => new Refusal(ErrorCode.OUTCOME_UNKNOWN));
  const session = await open(hub);
  await assert.rejects(session.pay(WISH), OutcomeUnknown);
  assert.equal(hub.bodies(RequestType.PAY).length, 1);
  await session.close();
});

test("closing the session ends a payment's stream", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const session = await open(hub);
  const payment = await session.pay(WISH);
  await session.close();
  for await (const _ of payment) assert.fail("no status came");
  await assert.rejects(payment.end(), ConnectionClosed);
});

test("a signer that signs no transactions can't pay", async () => {
  const hub = new FakeHub();
  servePayments(hub);
  const { signTransaction: _, ...signer } = makeSigner();
  const session = await connect(HUB_URL, signer, { webSocket: hub.webSocket });
  await assert.rejects(session.pay(WISH), Refused);
  await session.close();
});

test("a decision is asked for with audience and nonce, and its key answers a device", async () => {
  const hub = new FakeHub();
  hub.on(RequestType.DECISION_GET, ({ audience, nonce }) => ({
    decision: new TextEncoder().encode(`${audience} ${nonce} `.padEnd(65, "x")),
  }));
  const session = await open(hub);
  assert.match(new TextDecoder().decode(await session.decision("door-7", "n-1")), /^door-7 n-1 /);
  assert.match(new TextDecoder().decode(await session.decision("door-7")), /^door-7 null /);
  const presence = await session.provePresence({ audience: "door-7", nonce: "n-1" });
  assert.equal(presence.length, 64);
  await session.close();
});
