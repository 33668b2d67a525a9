import assert from "node:assert/strict";
import { test } from "node:test";

import { encode } from "@msgpack/msgpack";

import { toHex } from "./bytes.js";
import { decodeAnswer, encodeRequest } from "./codec.js";
import { LocalProtocolError, RemoteProtocolError } from "./errors.js";
import { CloseCode, INTEGER_MAX, RequestType } from "./tables.js";

const closes4500 = (error: unknown): boolean =>
  error instanceof RemoteProtocolError && error.code === CloseCode.PROTOCOL_ERROR;

test("a request is an array of type, id and body array", () => {
  const frame = encodeRequest(RequestType.PING, 7, { clientMs: 5 });
  assert.equal(toHex(frame), "9330079105");
});

test("the greatest integer goes and comes exactly, one more is refused", () => {
  const frame = encodeRequest(RequestType.PING, 1, { clientMs: INTEGER_MAX });
  assert.equal(toHex(frame), "93300191cf001fffffffffffff");
  assert.throws(
    () => encodeRequest(RequestType.PING, 1, { clientMs: INTEGER_MAX + 1 }),
    LocalProtocolError,
  );
  const checkpoint = [0x91, 0, 0, [[], 2n ** 53n, true]];
  assert.throws(() => decodeAnswer(encode(checkpoint, { useBigInt64: true })), closes4500);
});

test("elements beyond the known ones are ignored, missing ones are not", () => {
  const goaway = decodeAnswer(encode([0x9f, 0, 0, [1, 2, 0, false, "new", 9], "more"]));
  assert.deepEqual(goaway?.kind === "push" && goaway.body, {
    minMs: 1, maxMs: 2, cause: 0, resumeOk: false,
  });
  assert.throws(() => decodeAnswer(encode([0x9f, 0, 0, [1, 2, 0]])), closes4500);
});

test("a field with a default may be absent at the end", () => {
  const status = [new Uint8Array(16), 1, 0, 9, new Uint8Array(32), 0];
  const push = decodeAnswer(encode([0xa1, 1, 1, status]));
  assert.ok(push?.kind === "push" && push.type === 0xa1);
  assert.equal(push.body.detail, null);
});

test("an unknown push type is skipped", () => {
  assert.equal(decodeAnswer(encode([0xb0, 1, 1, ["what?"]])), null);
});

for (const [what, frame] of Object.entries({
  "no msgpack": Uint8Array.of(0xc1),
  "an empty frame": new Uint8Array(),
  "bytes behind the message": Uint8Array.of(...encode([0x70, 1, []]), 0),
  "a map as envelope": encode({ 0: 0x70 }),
  "a request type": encode([0x01, 1, []]),
  "a type beyond the pushes": encode([0xc0, 1, 0, []]),
  "an id that is a text": encode([0x70, "1", []]),
  "an id of 2^32": encode([0x70, 2 ** 32, []]),
  "an offset below 0": encode([0x9f, 0, -1, [1, 2, 0, false]]),
  "an enum value that nobody knows": encode([0x92, 0, 0, [1, 1, 2, 99]]),
  "a key of 31 bytes": encode([0x90, 0, 1, [new Uint8Array(31), 1, 1, 0, 0, 0, 0, false]]),
  "a map with the same key twice": Uint8Array.of(
    0x93, 0x7f, 0x01, 0x93, 0x64, 0xc0, 0x82, 0xa1, 0x61, 0x01, 0xa1, 0x61, 0x02,
  ),
  "a deep nest": encode([0x70, 1, [[[[[[[[[]]]]]]]]]]),
  "a fraction": encode([0x9f, 0, 0, [1.5, 2, 0, false]]),
})) {
  test(`refused as unreadable: ${what}`, () => {
    assert.throws(() => decodeAnswer(frame), closes4500);
  });
}

test("bytes that were read stand on their own, apart from the frame", () => {
  const frame = encode([0x90, 0, 1, [new Uint8Array(32).fill(1), 1, 1, 0, 0, 0, 0, false]]);
  const push = decodeAnswer(frame);
  frame.fill(0);
  assert.ok(push?.kind === "push" && push.type === 0x90);
  assert.deepEqual(push.body.wallet, new Uint8Array(32).fill(1));
});
