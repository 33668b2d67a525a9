import assert from "node:assert/strict";
import { test } from "node:test";

import { sameBytes } from "./bytes.js";
import { Delegate } from "./delegate.js";
import { Refused } from "./errors.js";
import { publicKeyOf } from "./identity.js";
import type { Intent } from "./messages.js";
import { makeIntent } from "./intent.js";
import { connect, type Session } from "./session.js";
import type { Signer } from "./signer.js";
import { Spending } from "./spending.js";
import { FakeHub, HUB_URL, KEY, makeSigner, makeUnsigned } from "./testing/fake-hub.js";
import { PaymentState, RequestType, Scheme } from "./tables.js";

const IDENTITY = "SUZFFQSCVPHYYBDCQODEMFAOKRJDDDIRJFFIWFLRDDJQRPKMJNOCSSKHXHGK";
const SPENDER: Signer = {
  identity: IDENTITY,
  publicKey: publicKeyOf(IDENTITY),
  scheme: Scheme.K12,
  sign: () => Promise.reject(new Error("it logs nobody in")),
  signTransaction: async (unsigned) => Uint8Array.of(...unsigned, ...new Uint8Array(64).fill(3)),
};
const PAYEE = new Uint8Array(32).fill(9);
const OTHER = new Uint8Array(32).fill(8);
const EPOCH = new Uint8Array(8).fill(1);
const FAR_MS = Date.now() + 1_000_000;

const refuses = (words: RegExp) => (error: unknown): boolean =>
  error instanceof Refused && error.code === "spending" && words.test(error.message);

const intent = (amountQu: number, destination = PAYEE): Intent =>
  makeIntent(SPENDER.publicKey, { destination, amountQu });

test("no more is signed than the owner signed for, and what was signed counts for good", () => {
  const spending = new Spending(SPENDER, { maxQu: 1_000 });
  assert.throws(() => spending.spend(intent(1), KEY, false), refuses(/nobody has signed/));
  spending.grant(KEY, FAR_MS);
  spending.spend(intent(600), KEY, false);
  assert.throws(() => spending.spend(intent(401), KEY, false), refuses(/400 QU are left/));
  spending.spend(intent(600), KEY, true); // A further attempt of the same payment.
  spending.spend(intent(400), KEY, false);
  assert.equal(spending.leftQu, 0);
  spending.grant(KEY, FAR_MS);
  assert.equal(spending.leftQu, 1_000);
});

test("nothing is signed after its time or for another owner; home it may always go", () => {
  const spending = new Spending(SPENDER, { maxQu: 1_000 });
  spending.grant(KEY, Date.now());
  assert.throws(() => spending.spend(intent(1), KEY, false), refuses(/time is over/));
  assert.throws(() => spending.spend(intent(1), KEY, true), refuses(/time is over/));
  spending.spend(intent(5_000, KEY), KEY, false);
  spending.grant(KEY, FAR_MS);
  assert.throws(() => spending.spend(intent(1), OTHER, false), refuses(/nobody has signed/));
});

test("its line names wallet, most and end", () => {
  const { resource } = new Spending(SPENDER, { maxQu: 7, livesMs: 1_000 }).ask(1_790_000_000_500);
  assert.equal(
    resource, `urn:qubic:realtime:spend:${IDENTITY}?max=7&until=2026-09-21T14:13:21Z`,
  );
  for (const maxQu of [0, 1.5, 200_000_000_000_001]) {
    assert.throws(() => new Spending(SPENDER, { maxQu }), RangeError);
  }
});

/** A hub that prepares and takes payments from whichever source the quote names. */
async function open(hub: FakeHub, delegate: Delegate): Promise<Session> {
  const quoteId = new Uint8Array(16).fill(4);
  let asked = intent(1);
  hub.on(RequestType.SUBSCRIBE, () => (
    { sub: 1, epoch: EPOCH, head: 1, snapshot: [], recovered: false }));
  hub.on(RequestType.QUOTE_OPEN, (body, socket) => {
    asked = body.intent;
    const { source, destination } = asked;
    const route = { routeId: "direct", kind: "direct", hops: [source, destination] };
    queueMicrotask(() => socket.push(0xa0, 2, 0, {
      quoteId, graphVersion: 1, route, alternatives: [], feeQu: 0, estMs: 5, validUntilTick: 60,
      executable: true, partial: false, hubSignature: null,
    }));
    return { sub: 2 };
  });
  hub.on(RequestType.PAY_PREPARE, () => {
    const { destination, amountQu } = asked;
    const unsignedTx = makeUnsigned({ destination, amountQu, tick: 50 });
    unsignedTx.set(asked.source);
    return { unsignedTx, tick: 50, quoteId, attempt: 1 };
  });
  hub.on(RequestType.PAY, ({ attempt }) => (
    { paymentId: new Uint8Array(16).fill(5), state: PaymentState.ACCEPTED, attempt }));
  hub.on(RequestType.SPEND_GET, () => (
    { maxQu: 1_000, untilMs: FAR_MS, spentQu: 600, balanceQu: 900, heldQu: 100, tick: 40 }));
  return connect(HUB_URL, makeSigner(), { webSocket: hub.webSocket, random: () => 0, delegate });
}

test("a payment from it is signed by its own signer, and the sweep sends home what is free", async () => {
  const hub = new FakeHub();
  const spending = new Spending(SPENDER, { maxQu: 1_000 });
  const session = await open(hub, await Delegate.open({ spending }));
  assert.match(hub.bodies(RequestType.LOGIN)[0]?.resources[1] ?? "", /spend:SUZF.*max=1000&until=/);
  await session.pay({ destination: PAYEE, amountQu: 600 }, { source: spending });
  await assert.rejects(
    session.pay({ destination: PAYEE, amountQu: 401 }, { source: spending }), refuses(/are left/),
  );
  await session.sweep(spending);
  const signed = hub.bodies(RequestType.PAY).map(({ signedTx }) => signedTx);
  assert.equal(signed.length, 2);
  for (const each of signed) {
    assert.ok(sameBytes(each.slice(0, 32), SPENDER.publicKey));
    assert.equal(each.at(-1), 3);
  }
  assert.ok(sameBytes(signed[1]?.slice(32, 64) ?? new Uint8Array(), KEY));
  assert.equal(spending.leftQu, 400);
  await session.close();
});

test("a delegate whose spending wallet nobody signed for asks the wallet", async () => {
  const spending = new Spending(SPENDER, { maxQu: 1_000 });
  const delegate = await Delegate.open({ spending });
  await delegate.grant({ wallet: KEY, domain: "app.example", untilMs: FAR_MS }, FAR_MS);
  assert.ok(delegate.mayLogIn(KEY, "app.example"));
  spending.grant(KEY, 0);
  assert.ok(!delegate.mayLogIn(KEY, "app.example"));
});
