import assert from "node:assert/strict";
import { test } from "node:test";

import { Refused } from "./errors.js";
import { buildLoginText, checkChallenge, scopeResource } from "./login-text.js";
import { HUB_URL, IDENTITY, makeChallenge } from "./testing/fake-hub.js";

const refused = (error: unknown): boolean => error instanceof Refused && error.code === "challenge";

const EXAMPLE = `app.example.org wants you to sign in with your Qubic account:
SUZFFQSCVPHYYBDCQODEMFAOKRJDDDIRJFFIWFLRDDJQRPKMJNOCSSKHXHGK

Sign in to Realtime. This does not move any QU.

URI: wss://hub.example.org/v1
Version: 1
Chain ID: mainnet
Nonce: 4fZk0pQ2v8sT1mYb6cHdNw
Issued At: 2026-11-23T22:00:00Z
Expiration Time: 2026-11-23T22:05:00Z
Request ID: 01JD8Z3K9QX5W7`;

const SOURCE = {
  nonce: "4fZk0pQ2v8sT1mYb6cHdNw",
  issuedMs: Date.UTC(2026, 10, 23, 22, 0, 0),
  expiresMs: Date.UTC(2026, 10, 23, 22, 5, 0),
  domain: "app.example.org",
  uri: "wss://hub.example.org/v1",
  chain: "mainnet",
  requestId: "01JD8Z3K9QX5W7",
};
const EXAMPLE_IDENTITY = "SUZFFQSCVPHYYBDCQODEMFAOKRJDDDIRJFFIWFLRDDJQRPKMJNOCSSKHXHGK";

test("the text has the published form, to the letter", () => {
  assert.equal(buildLoginText(SOURCE, EXAMPLE_IDENTITY), EXAMPLE);
});

test("resources stand at the end, without a line feed behind the last", () => {
  const text = buildLoginText(SOURCE, EXAMPLE_IDENTITY, [scopeResource("trust")]);
  assert.equal(text, `${EXAMPLE}\nResources:\n- urn:qubic:realtime:scope:trust`);
});

for (const changes of [
  { domain: "evil.org\nURI: wss://x" }, { domain: "a b" }, { domain: "" }, { domain: "h:65536" },
  { nonce: "short" }, { nonce: "4fZk0pQ2v8sT1mYb6cHdN\n" }, { chain: "Main Net" },
  { uri: "ftp://hub/v1" }, { uri: "ws://hub/v1\n" }, { requestId: "" }, { issuedMs: 1 },
  { expiresMs: SOURCE.issuedMs }, { expiresMs: 2 ** 52 },
]) {
  test(`a field that could bend the text is refused: ${JSON.stringify(changes)}`, () => {
    assert.throws(() => buildLoginText({ ...SOURCE, ...changes }, EXAMPLE_IDENTITY), refused);
  });
}

test("a resource of no known form, or a ninth, is refused", () => {
  for (const resources of [["urn:other"], ["urn:qubic:realtime:scope:trust\n- x"],
    Array<string>(9).fill(scopeResource("pay"))]) {
    assert.throws(() => buildLoginText(SOURCE, EXAMPLE_IDENTITY, resources), refused);
  }
});

test("a challenge for another hub, domain or chain is refused", () => {
  const challenge = makeChallenge();
  const place = { url: HUB_URL, domain: "hub.test:8080", chain: null };
  checkChallenge(challenge, place);
  checkChallenge(challenge, { ...place, chain: "devnet" });
  for (const other of [{ url: "ws://other.test/v1" }, { domain: "evil.test" },
    { chain: "mainnet" }]) {
    assert.throws(() => checkChallenge(challenge, { ...place, ...other }), refused);
  }
  assert.ok(buildLoginText(challenge, IDENTITY).length > 32);
});
