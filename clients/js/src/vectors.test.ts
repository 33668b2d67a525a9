import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, encode } from "@msgpack/msgpack";

import { parseHex, toHex } from "./bytes.js";
import { decodeAnswer, decodeReplyBody, encodeRequest, type RequestKind } from "./codec.js";
import { ERROR_BODY, PAYMENT_STATUS, PUSHES, REQUESTS, WALLET_TRUST } from "./messages.js";
import { list } from "./shapes.js";
import { PushType, RequestType } from "./tables.js";
import { messageVectors, type MessageVector } from "./testing/vectors.js";

const { messages, tolerated } = messageVectors();

function bytesOf(hex: string): Uint8Array {
  return parseHex(hex) ?? assert.fail(`no hex: ${hex}`);
}

/** What msgpack reads, in the vectors' JSON: bytes and maps are marked. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: toHex(value) };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) return { map: value };
  return value;
}

/** A typed body, in the vectors' JSON: named fields, bytes as hex. */
function named(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(named);
  if (typeof value !== "object" || value === null) return value;
  const snake = (name: string): string => name.replace(/[A-Z]/g, (at) => `_${at.toLowerCase()}`);
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [
      snake(name),
      name === "snapshot" ? plain(part) : named(part),
    ]),
  );
}

function rewrite(vector: MessageVector): { readonly body: unknown; readonly frame: Uint8Array } {
  const frame = bytesOf(vector.hex);
  if (vector.kind === "request") {
    const [type, id, sent] = decode(frame) as [RequestKind, number, unknown];
    const body = REQUESTS[type].request.read(sent, "");
    return { body, frame: encodeRequest(type, id, body as never) };
  }
  const answer = decodeAnswer(frame) ?? assert.fail("an unknown push");
  if (answer.kind === "push") {
    const { type, sub, offset, body } = answer;
    return { body, frame: encode([type, sub, offset, PUSHES[type].write(body as never, "")]) };
  }
  if (answer.kind === "error") {
    const { id, error } = answer;
    return { body: error, frame: encode([0x7f, id, ERROR_BODY.write(error, "")]) };
  }
  const type = answer.type as RequestKind;
  const body = decodeReplyBody(type, answer.body);
  const written = REQUESTS[type].reply.write(body as never, "");
  return { body, frame: encode([type | 0x40, answer.id, written]) };
}

test("the vectors cover each request, reply and push", () => {
  const types = (kind: string): number[] =>
    messages.filter((vector) => vector.kind === kind).map(({ hex }) => {
      const [type] = decode(bytesOf(hex)) as [number];
      return kind === "reply" ? type & ~0x40 : type;
    });
  const served = Object.keys(REQUESTS).map(Number);
  assert.deepEqual(new Set(types("request")), new Set(served));
  const answered = served.filter((type) => type !== RequestType.ACK);
  assert.deepEqual(new Set(types("reply")), new Set(answered));
  assert.deepEqual(new Set(types("push")), new Set(Object.values(PushType)));
  assert.ok(served.includes(RequestType.PAY));
});

for (const vector of messages) {
  test(`golden ${vector.kind} ${vector.name} reads to its fields and writes to its bytes`, () => {
    assert.deepEqual(plain(decode(bytesOf(vector.hex))), vector.frame);
    const { body, frame } = rewrite(vector);
    assert.deepEqual(named(body), vector.fields);
    assert.equal(toHex(frame), vector.hex);
  });
}

test("snapshots hold wallets' trust or payments", () => {
  const shapes = {
    "subscribe.reply": list(WALLET_TRUST), "subscribe.reply.payments": list(PAYMENT_STATUS),
  };
  for (const [name, shape] of Object.entries(shapes)) {
    const vector = messages.find((one) => one.name === name) ?? assert.fail(name);
    const [, , body] = decode(bytesOf(vector.hex)) as [number, number, unknown[]];
    assert.equal(shape.read(body[3], "").length, 2);
  }
});

for (const { name, hex, same_as } of tolerated) {
  test(`a frame of a later version is taken: ${name}`, () => {
    const answer = decodeAnswer(bytesOf(hex));
    const known = messages.find((vector) => vector.name === same_as);
    assert.deepEqual(answer, known ? decodeAnswer(bytesOf(known.hex)) : null);
  });
}
