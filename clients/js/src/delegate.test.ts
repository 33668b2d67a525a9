import assert from "node:assert/strict";
import { test } from "node:test";

import { sameBytes } from "./bytes.js";
import { Delegate } from "./delegate.js";
import { verifyEd25519 } from "./ed25519.js";
import { LocalProtocolError, RequestError } from "./errors.js";
import { buildLoginText, scopeResource } from "./login-text.js";
import { parseKeyResource } from "./session-key.js";
import { connect, type ConnectOptions, type Session } from "./session.js";
import {
  FakeHub, HUB_URL, IDENTITY, KEY, Refusal, makeChallenge, makeSigner,
} from "./testing/fake-hub.js";
import { ErrorCode, RequestType, Scheme } from "./tables.js";

let prompts = 0;

const open = (hub: FakeHub, options: ConnectOptions): Promise<Session> => {
  const signer = makeSigner();
  const sign = (text: string): Promise<Uint8Array> => (prompts++, signer.sign(text));
  return connect(HUB_URL, { ...signer, sign }, {
    webSocket: hub.webSocket, random: () => 0, ...options,
  });
};

test("the wallet is asked once, and the key logs in from then on", async () => {
  const hub = new FakeHub();
  const delegate = await Delegate.open();
  prompts = 0;
  for (let time = 0; time < 3; time++) await (await open(hub, { delegate })).close();
  assert.equal(prompts, 1);
  const [first, second] = hub.bodies(RequestType.LOGIN);
  assert.match(first?.resources[0] ?? "", /\?until=20/);
  assert.equal(second?.scheme, Scheme.KEY);
  assert.ok(sameBytes(second?.wallet ?? new Uint8Array(), KEY));
});

test("a login by key is the key's signature over type line and login text", async () => {
  const hub = new FakeHub();
  const delegate = await Delegate.open();
  const resources = [scopeResource("trust")];
  await (await open(hub, { delegate, resources })).close();
  await (await open(hub, { delegate, resources })).close();
  const login = hub.bodies(RequestType.LOGIN)[1] ?? assert.fail("one login only");
  assert.deepEqual(login.resources, [scopeResource("trust"), delegate.key.resource]);
  const publicKey = parseKeyResource(delegate.key.resource) ?? assert.fail("no key line");
  assert.deepEqual(publicKey, delegate.publicKey);
  const text = buildLoginText(makeChallenge(hub.challenge), IDENTITY, login.resources);
  const covered = new TextEncoder().encode(`realtime/login/v1\n${text}`);
  assert.ok(await verifyEd25519(publicKey, covered, login.signature));
});

test("a key that the hub lets in no more is given up, and the wallet grants another", async () => {
  const hub = new FakeHub();
  const delegate = await Delegate.open();
  await (await open(hub, { delegate })).close();
  const revoked = delegate.publicKey;
  let refused = 0;
  const logIn = { sid: "s", resumeToken: new Uint8Array(), resumeTtlMs: 0, sessionExpMs: 9,
    trust: null, scopes: ["trust"] };
  hub.on(RequestType.LOGIN, ({ scheme }) =>
    scheme === Scheme.KEY ? (refused++, new Refusal(ErrorCode.BAD_SIGNATURE)) : logIn);
  prompts = 0;
  await (await open(hub, { delegate })).close();
  assert.deepEqual([refused, prompts], [1, 1]);
  assert.ok(!sameBytes(delegate.publicKey, revoked));
  assert.ok(delegate.mayLogIn(KEY, "hub.test:8080"));
});

test("a hub that is busy, or a blocked wallet, costs no prompt and no key", async () => {
  const hub = new FakeHub();
  const delegate = await Delegate.open();
  await (await open(hub, { delegate })).close();
  const { publicKey } = delegate;
  for (const code of [ErrorCode.BACKBONE_UNAVAILABLE, ErrorCode.WALLET_BLOCKED]) {
    hub.on(RequestType.LOGIN, () => new Refusal(code));
    prompts = 0;
    await assert.rejects(open(hub, { delegate }), (error) =>
      error instanceof RequestError && error.code === code);
    assert.equal(prompts, 0);
  }
  assert.ok(sameBytes(delegate.publicKey, publicKey));
});

test("a grant counts for its wallet and domain, until shortly before its end", async () => {
  const delegate = await Delegate.open({ livesMs: 60_000 });
  const { untilMs, resources } = delegate.ask(1_000_500);
  assert.equal(resources.length, 1);
  assert.equal(untilMs, 1_060_000);
  assert.ok(!delegate.mayLogIn(KEY, "app.example", 0));
  await delegate.grant({ wallet: KEY, domain: "app.example", untilMs });
  assert.ok(delegate.mayLogIn(KEY, "app.example", untilMs - 5_001));
  assert.ok(!delegate.mayLogIn(KEY, "app.example", untilMs - 5_000));
  assert.ok(!delegate.mayLogIn(KEY, "other.example", 0));
  assert.ok(!delegate.mayLogIn(new Uint8Array(32), "app.example", 0));
  await delegate.forget();
  assert.ok(!delegate.mayLogIn(KEY, "app.example", 0));
});

test("without a name the key is in memory; with one, IndexedDB must be there", async () => {
  assert.equal((await Delegate.open()).keptIn, "memory");
  await assert.rejects(Delegate.open({ name: "app" }), LocalProtocolError);
  await assert.rejects(Delegate.open({ livesMs: 999 }), RangeError);
});

test("a login names one key", async () => {
  const delegate = await Delegate.open();
  const { resource } = delegate.key;
  await assert.rejects(open(new FakeHub(), { delegate, resources: [resource] }), LocalProtocolError);
});

test("keys are listed and revoked", async () => {
  const hub = new FakeHub();
  const granted = {
    key: KEY, scopes: ["trust"], untilMs: 5, domain: "app.example", createdMs: 1, lastUsedMs: 2,
    spends: [],
  };
  hub.on(RequestType.KEYS_LIST, () => ({ keys: [granted] }));
  hub.on(RequestType.KEYS_REVOKE, ({ key }) => ({ revoked: key === null ? 2 : 1 }));
  const session = await open(hub, {});
  assert.deepEqual(await session.keys.list(), [granted]);
  assert.equal(await session.keys.revoke(KEY), 1);
  assert.equal(await session.keys.revoke(), 2);
  await session.close();
});
