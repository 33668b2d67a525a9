import assert from "node:assert/strict";
import { test } from "node:test";

import { verifyEd25519 } from "./ed25519.js";
import { scopeResource } from "./login-text.js";
import { makeSessionKey, makeWithLibrary, parseKeyResource } from "./session-key.js";

const FIELDS = {
  domain: "app.example.org", uri: "wss://hub.example.org/v1", sid: "s-1", nonce: "n",
};
const COVERED = new TextEncoder().encode(
  "realtime/resume/v1\napp.example.org\nwss://hub.example.org/v1\ns-1\nn",
);

test("a proof is the key's signature over type line, domain, uri, sid and nonce", async () => {
  const key = (await makeSessionKey()) ?? assert.fail("no key");
  const publicKey = parseKeyResource(key.resource) ?? assert.fail(key.resource);
  const proof = await key.proveResume(FIELDS);
  assert.ok(await verifyEd25519(publicKey, COVERED, proof));
  const elsewhere = await key.proveResume({ ...FIELDS, nonce: "m" });
  assert.ok(!(await verifyEd25519(publicKey, COVERED, elsewhere)));
});

test("a proof of presence covers audience and nonce behind a type line of its own", async () => {
  const key = (await makeSessionKey()) ?? assert.fail("no key");
  const publicKey = parseKeyResource(key.resource) ?? assert.fail(key.resource);
  const proof = await key.provePresence({ audience: "door-7", nonce: "n-1" });
  const covered = new TextEncoder().encode("realtime/presence/v1\ndoor-7\nn-1");
  assert.ok(await verifyEd25519(publicKey, covered, proof));
});

test("each session has a key of its own", async () => {
  const keys = await Promise.all([makeSessionKey(), makeSessionKey()]);
  assert.notEqual(keys[0]?.resource, keys[1]?.resource);
});

test("where WebCrypto has no Ed25519 a key in memory does the same", async () => {
  const { publicKey, sign } = await makeWithLibrary();
  assert.ok(await verifyEd25519(publicKey, COVERED, await sign(COVERED)));
});

test("a page without WebCrypto gets no key", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    assert.equal(await makeSessionKey(), null);
  } finally {
    if (own) Object.defineProperty(globalThis, "crypto", own);
  }
});

test("only a key line holds a key", () => {
  assert.equal(parseKeyResource(scopeResource("trust")), null);
  assert.equal(parseKeyResource("urn:qubic:realtime:key:ed25519:short"), null);
});
