import assert from "node:assert/strict";
import { test } from "node:test";

import { toHex } from "./bytes.js";
import { LocalProtocolError } from "./errors.js";
import { publicKeyOf } from "./identity.js";
import { qubicVectors } from "./testing/vectors.js";

test("every identity of the vectors gives its public key", () => {
  for (const { identity, public_key } of qubicVectors().keys) {
    assert.equal(toHex(publicKeyOf(identity)), public_key);
  }
});

test("letters that stand for more than 64 bits are refused, not wrapped around", () => {
  assert.throws(() => publicKeyOf("Z".repeat(60)), LocalProtocolError);
});

test("small letters, 59 and 61 letters are refused", () => {
  for (const text of ["a".repeat(60), "A".repeat(59), "A".repeat(61), ""]) {
    assert.throws(() => publicKeyOf(text), LocalProtocolError);
  }
});
