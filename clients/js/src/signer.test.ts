import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHex, toHex } from "./bytes.js";
import { Refused } from "./errors.js";
import {
  checkSigner, parseExtensionAnswer, parseMessageAnswer, parseWalletConnectAnswer,
} from "./signer.js";
import { makeSigner } from "./testing/fake-hub.js";
import { qubicVectors } from "./testing/vectors.js";

const messages = qubicVectors().wallet_messages;
const refused = (error: unknown): boolean =>
  error instanceof Refused && error.code === "wallet_answer";

function first<T>(items: readonly T[]): T {
  const [item] = items;
  assert.ok(item !== undefined);
  return item;
}

test("every wallet's answer of the vectors gives its signature", () => {
  assert.equal(messages.length, 12);
  for (const vector of messages) {
    const { identity, message } = vector;
    const mobile = vector.A_walletconnect_qubic_sign;
    assert.equal(
      toHex(parseWalletConnectAnswer(mobile, message)),
      Buffer.from(mobile["signature"] ?? "", "base64").toString("hex"),
    );
    const extension = vector.B_extension_signMessage;
    assert.equal(toHex(parseExtensionAnswer(extension)), extension["signatureHex"]);
    // The page that prefixes signs the same digest as the mobile wallet, deterministically.
    assert.equal(
      toHex(parseMessageAnswer(vector.D_prefixed_json, message, identity)),
      toHex(parseWalletConnectAnswer(mobile, message)),
    );
    assert.equal(parseMessageAnswer(vector.C_raw_message_json, message, identity).length, 64);
  }
});

test("letters of a raw answer may be small or capital", () => {
  const { identity, message, C_raw_message_json: answer } = first(messages);
  const small = { ...answer, signature: (answer["signature"] ?? "").toLowerCase() };
  assert.deepEqual(
    parseMessageAnswer(small, message, identity),
    parseMessageAnswer(answer, message, identity),
  );
});

test("an answer over another text or by another wallet is refused", () => {
  const vector = first(messages);
  const { identity, message } = vector;
  const another = message + "!";
  assert.throws(() => parseWalletConnectAnswer(vector.A_walletconnect_qubic_sign, another), refused);
  assert.throws(() => parseMessageAnswer(vector.C_raw_message_json, another, identity), refused);
  assert.throws(
    () => parseMessageAnswer(vector.C_raw_message_json, message, "A".repeat(60)),
    refused,
  );
});

for (const answer of [null, undefined, "text", {}, { signatureHex: 5 }, { signatureHex: "00" },
  { signatureHex: "AB".repeat(64) }, { signatureHex: "zz".repeat(64) }]) {
  test(`no extension's answer: ${JSON.stringify(answer)?.slice(0, 40)}`, () => {
    assert.throws(() => parseExtensionAnswer(answer), refused);
  });
}

test("base64 in another than its one form is refused", () => {
  const { message, A_walletconnect_qubic_sign: answer } = first(messages);
  for (const signature of [`${answer["signature"]} `, (answer["signature"] ?? "").slice(0, -2)]) {
    assert.throws(() => parseWalletConnectAnswer({ ...answer, signature }, message), refused);
  }
});

test("a signer whose letters and key differ is refused before anything is signed", () => {
  checkSigner(makeSigner());
  assert.throws(() => checkSigner(makeSigner({ publicKey: new Uint8Array(32) })), Refused);
  assert.throws(() => checkSigner(makeSigner({ identity: "abc" })), Refused);
});

test("hex has an even count of small digits", () => {
  assert.equal(parseHex("0"), null);
  assert.deepEqual(parseHex("00ff"), Uint8Array.of(0, 255));
});
