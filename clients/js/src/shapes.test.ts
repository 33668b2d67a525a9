import assert from "node:assert/strict";
import { test } from "node:test";

import { INTENT, PREPARE_REQUEST, type Intent } from "./messages.js";
import { ShapeError, bytes, either, facts, text, uint } from "./shapes.js";
import { PrepareKind } from "./tables.js";

const INTENT_OF_ONE: Intent = {
  source: new Uint8Array(32), destination: new Uint8Array(32).fill(1), amountQu: 1, priority: 0,
  maxFeeQu: 0, timeoutMs: 1_000, deadlineOf: 0, minReliabilityPpm: null, exclude: [],
  maxHops: null,
};

for (const amountQu of [0, -1, 1.5, 200_000_000_000_001, NaN, Infinity, "1", true, 1n, null]) {
  test(`no intent for an amount of ${typeof amountQu} ${String(amountQu)}`, () => {
    const intent = { ...INTENT_OF_ONE, amountQu } as Intent;
    assert.throws(() => INTENT.write(intent, ""), ShapeError);
  });
}

test("an error names the path of the value", () => {
  const intent = { ...INTENT_OF_ONE, exclude: ["ok", 5] } as unknown as Intent;
  assert.throws(() => INTENT.write(intent, "intent"), /intent\.exclude\[1\]: expected a text/);
});

test("defaults are not shared between what is read", () => {
  const wire = [new Uint8Array(32), new Uint8Array(32), 1, 0, 0, 1];
  INTENT.read(wire, "").exclude.push("x");
  assert.deepEqual(INTENT.read(wire, "").exclude, []);
});

test("an intent or 16 bytes tell themselves apart in a prepare", () => {
  const of = new Uint8Array(16).fill(3);
  const body = { kind: PrepareKind.AGAIN, quoteId: null, of, signWithinMs: 0 };
  assert.deepEqual(PREPARE_REQUEST.read(PREPARE_REQUEST.write(body, ""), ""), body);
  const other = { kind: PrepareKind.INTENT, quoteId: null, of: INTENT_OF_ONE, signWithinMs: 0 };
  assert.deepEqual(PREPARE_REQUEST.read(PREPARE_REQUEST.write(other, ""), ""), other);
});

test("a value that fits neither shape is refused", () => {
  const shape = either(bytes(1, 1), uint(0, 1));
  assert.throws(() => shape.read("x", ""), ShapeError);
});

test("text is counted in letters, facts in entries", () => {
  assert.equal(text(2).read("😀😀", ""), "😀😀");
  assert.throws(() => text(2).read("abc", ""), ShapeError);
  assert.deepEqual(facts(1).read({ a: 1 }, ""), { a: 1 });
  for (const bad of [{ a: 1, b: 2 }, { a: -1 }, { a: true }, [], null, new Date(0)]) {
    assert.throws(() => facts(1).read(bad, ""), ShapeError);
  }
});
