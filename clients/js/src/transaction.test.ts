import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHex, toHex } from "./bytes.js";
import { Refused } from "./errors.js";
import { makeIntent } from "./intent.js";
import type { PrepareReply, Quote } from "./messages.js";
import { KEY, SIGNATURE, makeUnsigned } from "./testing/fake-hub.js";
import { qubicVectors } from "./testing/vectors.js";
import { checkPrepared, checkQuote, checkSigned, parseUnsigned } from "./transaction.js";

const PAYEE = new Uint8Array(32).fill(9);
const INTENT = makeIntent(KEY, { destination: PAYEE, amountQu: 1_000 });
const WISHED = { destination: PAYEE, amountQu: 1_000, tick: 50 };
const refused = (error: unknown): boolean =>
  error instanceof Refused && error.code === "transaction";

const QUOTE_ID = new Uint8Array(16).fill(4);
const AGREED = { quoteId: QUOTE_ID, attempt: 0, tickMin: 50, tickMax: 50 };

function prepared(unsignedTx: Uint8Array, changes: Partial<PrepareReply> = {}): PrepareReply {
  return { unsignedTx, tick: 50, quoteId: QUOTE_ID, attempt: 0, ...changes };
}

test("every transaction of the vectors is taken apart", () => {
  const vectors = qubicVectors().transactions;
  assert.equal(vectors.length, 24);
  for (const vector of vectors) {
    const raw = parseHex(String(vector["raw"]));
    assert.ok(raw);
    const made = parseUnsigned(raw.subarray(0, -64));
    assert.deepEqual(
      [toHex(made.source), toHex(made.destination), String(made.amountQu), made.tick,
        made.inputType, toHex(made.payload)],
      [vector["source_public_key"], vector["destination_public_key"], vector["amount"],
        vector["tick"], vector["input_type"], vector["payload"]],
    );
  }
});

test("the transaction that was asked for passes", () => {
  assert.equal(checkPrepared(prepared(makeUnsigned(WISHED)), INTENT, AGREED).tick, 50);
});

for (const [what, changes] of Object.entries({
  "tick that is too early": { tick: 49 },
  "tick that is too late": { tick: 51 },
  "other quote": { quoteId: new Uint8Array(16) },
  "other attempt": { attempt: 1 },
})) {
  test(`a hostile hub's ${what} is refused, though the transaction agrees with its reply`, () => {
    const reply = prepared(makeUnsigned({ ...WISHED, ...changes }), changes);
    assert.throws(() => checkPrepared(reply, INTENT, AGREED), refused);
  });
}

const QUOTE: Quote = {
  quoteId: QUOTE_ID, graphVersion: 1, route: { routeId: "direct", kind: "direct", hops: [] },
  alternatives: [], feeQu: 0, estMs: 1, validUntilTick: 60, executable: true, partial: false,
  hubSignature: null,
};

test("a quote without a route, an executor, or with a fee is not paid", () => {
  checkQuote(QUOTE, INTENT);
  const other = { routeId: "x", kind: "channel", hops: [] };
  for (const changes of [{ route: null }, { executable: false }, { feeQu: 1 }, { route: other }]) {
    assert.throws(
      () => checkQuote({ ...QUOTE, ...changes }, INTENT),
      (error) => error instanceof Refused && error.code === "quote",
    );
  }
});

for (const [what, changes] of Object.entries({
  source: { source: PAYEE },
  destination: { destination: KEY },
  "one bit of the destination": { destination: PAYEE.map((byte, at) => (at === 31 ? byte ^ 1 : byte)) },
  "amount above": { amountQu: 1_001 },
  "amount below": { amountQu: 999 },
  tick: { tick: 51 },
  "input type": { inputType: 1 },
  payload: { payload: Uint8Array.of(0) },
})) {
  test(`a hostile hub's ${what} is refused`, () => {
    const unsigned = makeUnsigned({ ...WISHED, ...changes });
    assert.throws(() => checkPrepared(prepared(unsigned), INTENT, AGREED), refused);
  });
}

test("bytes that are no transaction are refused", () => {
  const unsigned = makeUnsigned(WISHED);
  const negative = Uint8Array.from(unsigned);
  negative[71] = 0xff;
  for (const bad of [unsigned.subarray(0, 79), Uint8Array.of(...unsigned, 0), negative]) {
    assert.throws(() => checkPrepared(prepared(bad), INTENT, AGREED), refused);
  }
});

test("a wallet that signs another transaction than it was given is refused", () => {
  const unsigned = makeUnsigned(WISHED);
  checkSigned(Uint8Array.of(...unsigned, ...SIGNATURE), unsigned);
  const other = makeUnsigned({ ...WISHED, tick: 99 });
  assert.throws(() => checkSigned(Uint8Array.of(...other, ...SIGNATURE), unsigned), refused);
  assert.throws(() => checkSigned(unsigned, unsigned), refused);
});
