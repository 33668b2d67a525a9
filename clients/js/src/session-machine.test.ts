import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, encode } from "@msgpack/msgpack";

import { LocalProtocolError, RemoteProtocolError } from "./errors.js";
import { CHALLENGE, LOGIN_REPLY } from "./messages.js";
import { SessionMachine } from "./session-machine.js";
import { KEY, SIGNATURE, makeChallenge } from "./testing/fake-hub.js";
import { RequestType, Scheme } from "./tables.js";

const challenge = encode([0x80, 0, 0, CHALLENGE.write(makeChallenge(), "")]);
const LOGIN = { scheme: Scheme.RAW, wallet: KEY, signature: SIGNATURE, resources: [] };
const loginReply = (id: number) =>
  encode([0x42, id, LOGIN_REPLY.write({
    sid: "s", resumeToken: new Uint8Array(), resumeTtlMs: 0, sessionExpMs: 1, trust: null,
    scopes: [],
  }, "")]);

function opened(): SessionMachine {
  const machine = new SessionMachine();
  machine.receive(challenge);
  machine.receive(loginReply(machine.request(RequestType.LOGIN, LOGIN).id));
  return machine;
}

test("challenge, login, open", () => {
  const machine = new SessionMachine();
  assert.equal(machine.receive(challenge)?.kind, "challenge");
  const { id, frame } = machine.request(RequestType.LOGIN, LOGIN);
  assert.deepEqual((decode(frame) as unknown[]).slice(0, 2), [RequestType.LOGIN, id]);
  assert.equal(machine.receive(loginReply(id))?.kind, "reply");
  assert.equal(machine.state, "open");
});

test("the first frame must be the challenge", () => {
  for (const frame of [encode([0x70, 1, []]), encode([0x9f, 0, 0, [1, 1, 0, true]]),
    encode([0xb0, 0, 0, []])]) {
    assert.throws(() => new SessionMachine().receive(frame), RemoteProtocolError);
  }
});

test("nothing but challenge and login goes out before the login", () => {
  const machine = new SessionMachine();
  assert.throws(() => machine.request(RequestType.LOGIN, LOGIN), LocalProtocolError);
  machine.receive(challenge);
  assert.throws(() => machine.request(RequestType.PING, { clientMs: 1 }), LocalProtocolError);
  machine.request(RequestType.CHALLENGE, { ttlMs: 1_000 });
});

test("an answer that nobody waits for, or of another type, is the hub's fault", () => {
  const machine = opened();
  assert.throws(() => machine.receive(encode([0x70, 99, [1, 1, [], true]])), RemoteProtocolError);
  const { id } = machine.request(RequestType.PING, { clientMs: 1 });
  assert.throws(() => machine.receive(encode([0x44, id, []])), RemoteProtocolError);
});

test("a reply comes once", () => {
  const machine = opened();
  const { id } = machine.request(RequestType.PING, { clientMs: 1 });
  const pong = encode([0x70, id, [1, 2, [], true]]);
  machine.receive(pong);
  assert.throws(() => machine.receive(pong), RemoteProtocolError);
});

test("at most 32 requests wait at a time", () => {
  const machine = opened();
  for (let count = 0; count < 32; count += 1) machine.request(RequestType.PING, { clientMs: 1 });
  assert.throws(() => machine.request(RequestType.PING, { clientMs: 1 }), LocalProtocolError);
});

test("the hub's own limit counts where it is lower", () => {
  const machine = new SessionMachine();
  const limits = { in_flight_max: 1 };
  machine.receive(encode([0x80, 0, 0, CHALLENGE.write(makeChallenge({ limits }), "")]));
  machine.request(RequestType.CHALLENGE, { ttlMs: 1_000 });
  assert.throws(() => machine.request(RequestType.LOGIN, LOGIN), LocalProtocolError);
});

test("a refusal carries code, advice and detail, and the session goes on", () => {
  const machine = opened();
  const { id } = machine.request(RequestType.PING, { clientMs: 1 });
  const event = machine.receive(encode([0x7f, id, [107, 250, { message: "too many" }]]));
  assert.ok(event?.kind === "refused");
  const { code, codeName, retry, retryAfterMs, message, docs } = event.error;
  assert.deepEqual(
    { code, codeName, retry, retryAfterMs, message, docs },
    {
      code: 107, codeName: "overloaded", retry: true, retryAfterMs: 250,
      message: "107 overloaded: too many", docs: "docs/reference/codes.md#error-107",
    },
  );
  assert.equal(machine.state, "open");
});
