import assert from "node:assert/strict";
import { test } from "node:test";

import { ConnectionClosed, RequestError } from "./errors.js";
import type { TrustChanged } from "./messages.js";
import { verifyEd25519 } from "./ed25519.js";
import { connect, type ConnectOptions, type Session, type SessionEvents } from "./session.js";
import { parseKeyResource } from "./session-key.js";
import {
  CloseCode, ErrorCode, PushType, RequestType, ResumeOutcome, TrustStatus,
} from "./tables.js";
import {
  FakeHub, HUB_URL, KEY, Refusal, SIGNATURE, makeChallenge, makeSigner, until,
} from "./testing/fake-hub.js";
import type { TrustSubscription } from "./trust.js";

const EPOCH = new Uint8Array(8).fill(1);
const NEW_EPOCH = new Uint8Array(8).fill(2);

class Wallet {
  signatures = 0;
  readonly signer = makeSigner({
    sign: async () => {
      this.signatures += 1;
      return SIGNATURE;
    },
  });
}

async function open(
  hub: FakeHub, wallet = new Wallet(), options: ConnectOptions = {},
): Promise<Session> {
  hub.on(RequestType.SUBSCRIBE, ({ position }) => ({
    sub: hub.bodies(RequestType.SUBSCRIBE).length, epoch: EPOCH, head: 10,
    snapshot: position ? null : [], recovered: position !== null,
  }));
  return connect(HUB_URL, wallet.signer, {
    webSocket: hub.webSocket, random: () => 0, ...options,
  });
}

function next<K extends keyof SessionEvents>(session: Session, name: K): Promise<SessionEvents[K]> {
  return new Promise((resolve) => {
    const stop = session.on(name, (event) => {
      stop();
      resolve(event);
    });
  });
}

function changed(wallet = KEY): TrustChanged {
  return {
    wallet, status: TrustStatus.ACTIVE, score: 1, reason: 0, initiator: 1, eventMs: 1,
    useUntilMs: 2, pending: false,
  };
}

/** The next *count* events, as kind and offset. */
async function read(events: TrustSubscription, count: number): Promise<(string | number)[]> {
  const seen: (string | number)[] = [];
  const reader = events[Symbol.asyncIterator]();
  while (seen.length < count) {
    const { value } = await reader.next();
    if (value && value.kind !== "snapshot") {
      seen.push(value.kind === "changed" ? value.offset : value.kind);
    }
  }
  return seen;
}

test("a lost session is resumed by its key, and the wallet isn't asked again", async () => {
  const hub = new FakeHub();
  const wallet = new Wallet();
  const session = await open(hub, wallet);
  const [login] = hub.bodies(RequestType.LOGIN);
  const line = login?.resources.find((one) => parseKeyResource(one)) ?? assert.fail("no key");
  const publicKey = parseKeyResource(line) ?? assert.fail(line);
  hub.challenge = { nonce: "5fZk0pQ2v8sT1mYb6cHdNw" };
  const back = next(session, "reconnected");
  hub.last.cut(1006);
  assert.equal((await back).resumed, true);
  const [sent] = hub.bodies(RequestType.RESUME);
  assert.deepEqual(sent?.token, new Uint8Array(32).fill(1));
  const { domain, uri } = makeChallenge();
  const covered = `realtime/resume/v1\n${domain}\n${uri}\nsid\n${hub.challenge.nonce}`;
  assert.ok(await verifyEd25519(
    publicKey, new TextEncoder().encode(covered), sent?.proof ?? new Uint8Array(),
  ));
  assert.equal(wallet.signatures, 1);
  await session.close();
});

test("each resume uses the token that the one before brought", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  for (let turn = 0; turn < 3; turn += 1) {
    const back = next(session, "reconnected");
    hub.last.cut(1006);
    await back;
  }
  assert.deepEqual(hub.bodies(RequestType.RESUME).map(({ token }) => token[0]), [1, 2, 3]);
  await session.close();
});

test("a lost answer is asked for with the same token", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  const token = hub.token;
  hub.on(RequestType.RESUME, (_, socket) => {
    queueMicrotask(() => socket.cut(1006));
    return null;
  });
  hub.last.cut(1006);
  await until(() => hub.bodies(RequestType.RESUME).length > 1);
  const [first, second] = hub.bodies(RequestType.RESUME);
  assert.deepEqual([first?.token, second?.token], [token, token]);
  await session.close();
});

test("no secret is where a program would print it", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  assert.equal(session.login.resumeToken.length, 0);
  await session.close();
});

test("subscriptions go on under their numbers, from where they stood", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  const own = await session.trust.subscribe();
  const others = await session.trust.subscribe([KEY]);
  hub.last.push(PushType.TRUST_CHANGED, 1, 11, changed());
  hub.on(RequestType.RESUME, ({ subs }, socket) => {
    queueMicrotask(() => {
      socket.push(PushType.TRUST_CHANGED, 1, 11, changed()); // Seen before: told once.
      socket.push(PushType.TRUST_CHANGED, 1, 12, changed());
      socket.push(PushType.TRUST_CHANGED, 2, 13, changed());
    });
    const resumed = subs.map(({ sub }) => ({
      sub, outcome: ResumeOutcome.REPLAYING, epoch: EPOCH, head: 13,
    }));
    return { sid: "sid", resumeToken: new Uint8Array(32), trust: null, subs: resumed };
  });
  const resumed = next(session, "resumed");
  hub.last.cut(1006);
  assert.deepEqual(await resumed, { caughtUp: 0, replaying: 2, gaps: 0 });
  const [sent] = hub.bodies(RequestType.RESUME);
  assert.deepEqual(sent?.subs, [
    { sub: 1, channel: "trust:@me", epoch: EPOCH, offset: 11, wallets: null },
    { sub: 2, channel: "trust", epoch: EPOCH, offset: 10, wallets: [KEY] },
  ]);
  assert.deepEqual(await read(own, 2), [11, 12]);
  assert.deepEqual(await read(others, 1), [13]);
  assert.equal(hub.bodies(RequestType.SUBSCRIBE).length, 2);
  await session.close();
});

test("a gap is told, and what stands follows; the next resume goes on behind it", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  const events = await session.trust.subscribe([KEY, new Uint8Array(32)]);
  const gap = { sub: 1, first: 11, last: 40, cause: 1 as const };
  hub.on(RequestType.RESUME, (_, socket) => {
    queueMicrotask(() => {
      socket.push(PushType.GAP, 1, 40, gap);
      socket.push(PushType.TRUST_CHANGED, 1, 40, changed());
      socket.push(PushType.TRUST_CHANGED, 1, 40, changed(new Uint8Array(32)));
    });
    return {
      sid: "sid", resumeToken: new Uint8Array(32), trust: null,
      subs: [{ sub: 1, outcome: ResumeOutcome.GAP, epoch: NEW_EPOCH, head: 40 }],
    };
  });
  const told = next(session, "gap");
  hub.last.cut(1006);
  assert.deepEqual((await told).gap, gap);
  assert.deepEqual(await read(events, 3), ["gap", 40, 40]);
  hub.last.cut(1006);
  await until(() => hub.bodies(RequestType.RESUME).length === 2);
  const [row] = hub.bodies(RequestType.RESUME)[1]?.subs ?? [];
  assert.deepEqual([row?.epoch, row?.offset], [NEW_EPOCH, 40]);
  await session.close();
});

test("a subscription that the hub leaves out is opened again from its position", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  await session.trust.subscribe();
  hub.on(RequestType.RESUME, () => ({
    sid: "sid", resumeToken: new Uint8Array(32), trust: null, subs: [],
  }));
  const back = next(session, "reconnected");
  hub.last.cut(1006);
  await back;
  assert.deepEqual(hub.bodies(RequestType.SUBSCRIBE)[1]?.position, { epoch: EPOCH, offset: 10 });
  await session.close();
});

test("what doesn't fit the frame before a login is opened again behind it", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  const many = Array.from({ length: 200 }, (_, at) => new Uint8Array(32).fill(at + 1));
  await session.trust.subscribe(many);
  await session.trust.subscribe();
  const back = next(session, "reconnected");
  hub.last.cut(1006);
  await back;
  assert.deepEqual(hub.bodies(RequestType.RESUME)[0]?.subs.map(({ sub }) => sub), [2]);
  assert.equal(hub.bodies(RequestType.SUBSCRIBE)[2]?.wallets?.length, 200);
  await session.close();
});

test("checkpoints and pongs move a quiet subscription on", async () => {
  const hub = new FakeHub();
  const session = await open(hub, new Wallet(), { pingIntervalMs: 2 });
  await session.trust.subscribe();
  const heads = [{ sub: 1, epoch: EPOCH, head: 500 }, { sub: 9, epoch: EPOCH, head: 900 }];
  hub.last.push(PushType.CHECKPOINT, 0, 0, { heads, serverMs: 1, backboneOk: true });
  const sentFrom = async (): Promise<number | undefined> => {
    const before = hub.bodies(RequestType.RESUME).length;
    const back = next(session, "reconnected");
    hub.last.cut(1006);
    await back;
    return hub.bodies(RequestType.RESUME)[before]?.subs[0]?.offset;
  };
  assert.equal(await sentFrom(), 500);
  hub.on(RequestType.PING, ({ clientMs }) => ({
    clientMs, serverMs: 1, heads: [{ sub: 1, epoch: EPOCH, head: 501 }], backboneOk: true,
  }));
  const asked = hub.bodies(RequestType.PING).length;
  await until(() => hub.bodies(RequestType.PING).length > asked + 1);
  assert.equal(await sentFrom(), 501);
  await session.close();
});

for (const code of [ErrorCode.RESUME_UNKNOWN, ErrorCode.RESUME_EXPIRED]) {
  test(`after ${code} it logs in under a new challenge, and only then asks the wallet`, async () => {
    const hub = new FakeHub();
    const wallet = new Wallet();
    const session = await open(hub, wallet);
    hub.on(RequestType.RESUME, () => new Refusal(code));
    const back = next(session, "reconnected");
    hub.last.cut(1006);
    assert.equal((await back).resumed, false);
    assert.equal(wallet.signatures, 2);
    assert.deepEqual(hub.bodies(RequestType.CHALLENGE), [{ ttlMs: 10_000 }]);
    await session.close();
  });
}

for (const code of [ErrorCode.WALLET_BLOCKED, ErrorCode.RESUME_REUSED]) {
  test(`${code} at a resume ends the session without asking the wallet`, async () => {
    const hub = new FakeHub();
    const wallet = new Wallet();
    const session = await open(hub, wallet);
    hub.on(RequestType.RESUME, () => new Refusal(code));
    const over = next(session, "closed");
    hub.last.cut(1006);
    const { why } = await over;
    assert.ok(why instanceof RequestError && why.code === code);
    assert.equal(wallet.signatures, 1);
  });
}

test("a socket that another connection of the session replaced doesn't come back", async () => {
  const hub = new FakeHub();
  const session = await open(hub);
  const over = next(session, "closed");
  hub.last.cut(CloseCode.SUPERSEDED, "superseded");
  const { why } = await over;
  assert.ok(why instanceof ConnectionClosed && why.code === 4508);
  assert.equal(hub.sockets.length, 1);
});

test("a goaway's range is kept, and one without resume logs in", async () => {
  const hub = new FakeHub();
  const wallet = new Wallet();
  const session = await open(hub, wallet, { random: () => 0.999 });
  const pauses: number[] = [];
  session.on("reconnecting", ({ pauseMs }) => pauses.push(pauseMs));
  for (const resumeOk of [true, false]) {
    const back = next(session, "reconnected");
    hub.last.push(PushType.GOAWAY, 0, 0, { minMs: 3, maxMs: 9, cause: 0, resumeOk });
    assert.equal((await back).resumed, resumeOk);
  }
  assert.deepEqual(pauses, [8, 8]);
  assert.equal(wallet.signatures, 2);
  await session.close();
});

test("several tabs have a session each: own keys, own tokens", async () => {
  const hub = new FakeHub();
  const tabs = [await open(hub), await open(hub)];
  const lines = hub.bodies(RequestType.LOGIN).map(({ resources }) => resources.join());
  assert.notEqual(lines[0], lines[1]);
  for (const tab of tabs) await tab.close();
});

test("a refresh prolongs the session on its connection, with a new key and token", async () => {
  const hub = new FakeHub();
  const wallet = new Wallet();
  const session = await open(hub, wallet);
  await session.refresh();
  assert.equal(wallet.signatures, 2);
  assert.equal(hub.sockets.length, 1);
  const [before] = hub.bodies(RequestType.LOGIN);
  const [after] = hub.bodies(RequestType.REFRESH);
  assert.notDeepEqual(after?.resources, before?.resources);
  hub.last.cut(1006);
  await until(() => hub.bodies(RequestType.RESUME).length === 1);
  assert.equal(hub.bodies(RequestType.RESUME)[0]?.token[0], 2);
  await session.close();
});

test("a hub without resume is logged in to again", async () => {
  const hub = new FakeHub();
  hub.on(RequestType.LOGIN, () => ({
    sid: "sid", resumeToken: new Uint8Array(), resumeTtlMs: 0, sessionExpMs: 9_000_000,
    trust: null, scopes: ["trust"],
  }));
  const wallet = new Wallet();
  const session = await open(hub, wallet);
  const back = next(session, "reconnected");
  hub.last.cut(1006);
  assert.equal((await back).resumed, false);
  assert.equal(wallet.signatures, 2);
  await session.close();
});
