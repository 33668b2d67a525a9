import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHex, toHex } from "./bytes.js";
import { Refused } from "./errors.js";
import { makeIntent } from "./intent.js";
import { KEY, SIGNATURE, makeUnsigned } from "./testing/fake-hub.js";
import { qubicVectors } from "./testing/vectors.js";
import { checkPrepared, checkSigned, parseUnsigned } from "./transaction.js";

const PAYEE = new Uint8Array(32).fill(9);
const INTENT = makeIntent(KEY, { destination: PAYEE, amountQu: 1_000 });
const WISHED = { destination: PAYEE, amountQu: 1_000, tick: 50 };
const refused = (error: unknown): boolean =>
  error instanceof Refused && error.code === "transaction";

function prepared(unsignedTx: Uint8Array, tick = 50) {
  return { unsignedTx, tick, quoteId: new Uint8Array(16), attempt: 0 };
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
  assert.equal(checkPrepared(prepared(makeUnsigned(WISHED)), INTENT).tick, 50);
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
    assert.throws(() => checkPrepared(prepared(unsigned), INTENT), refused);
  });
}

test("bytes that are no transaction are refused", () => {
  const unsigned = makeUnsigned(WISHED);
  const negative = Uint8Array.from(unsigned);
  negative[71] = 0xff;
  for (const bad of [unsigned.subarray(0, 79), Uint8Array.of(...unsigned, 0), negative]) {
    assert.throws(() => checkPrepared(prepared(bad), INTENT), refused);
  }
});

test("a wallet that signs another transaction than it was given is refused", () => {
  const unsigned = makeUnsigned(WISHED);
  checkSigned(Uint8Array.of(...unsigned, ...SIGNATURE), unsigned);
  const other = makeUnsigned({ ...WISHED, tick: 99 });
  assert.throws(() => checkSigned(Uint8Array.of(...other, ...SIGNATURE), unsigned), refused);
  assert.throws(() => checkSigned(unsigned, unsigned), refused);
});
