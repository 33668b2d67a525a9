import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parseHex, toHex } from "./bytes.js";
import {
  DecisionRefused, deviceTimeMs, parseDecision, supersedes, verifyDecision, weighDecision,
} from "./decision.js";
import { verifyEd25519, verifyWithLibrary } from "./ed25519.js";
import { TrustStatus } from "./tables.js";

interface Case {
  readonly name: string;
  readonly signed: string;
  readonly audience: string;
  readonly nonce: string | null;
  readonly clock_ms: number | null;
  readonly newest_issued_ms: number;
  readonly stale_allowed: boolean;
  readonly expect: object;
}

interface Vectors {
  readonly keys: Record<string, string>;
  readonly fields: Record<string, unknown>;
  readonly cases: readonly Case[];
  readonly orders: readonly {
    readonly name: string;
    readonly held: string;
    readonly offered: string;
    readonly wins: boolean;
  }[];
  readonly presence: Record<"audience" | "nonce" | "session_key" | "signature", string>;
}

const path = new URL("../../../protocol/vectors/decisions.json", import.meta.url);
const vectors = JSON.parse(readFileSync(path, "utf8")) as Vectors;
const keys = new Map(Object.entries(vectors.keys).map(([id, key]) => [id, bytes(key)]));

function bytes(hex: string): Uint8Array {
  const data = parseHex(hex);
  assert.ok(data);
  return data;
}

async function judge(one: Case): Promise<object> {
  try {
    const decision = await verifyDecision(bytes(one.signed), keys, one);
    const nowMs = deviceTimeMs(one.clock_ms, one.newest_issued_ms);
    const verdict = weighDecision(decision, { nowMs, staleAllowed: one.stale_allowed });
    const status = Object.entries(TrustStatus).find(([, value]) => value === verdict.status);
    return { ...verdict, status: status?.[0] };
  } catch (error) {
    if (error instanceof DecisionRefused) return { refused: error.code };
    throw error;
  }
}

for (const one of vectors.cases) {
  test(`a golden decision is worth what the vectors say: ${one.name}`, async () => {
    assert.deepEqual(await judge(one), one.expect);
  });
}

for (const { name, held, offered, wins } of vectors.orders) {
  test(`of two decisions the one that the vectors name wins: ${name}`, () => {
    assert.equal(supersedes(parseDecision(bytes(offered)), parseDecision(bytes(held))), wins);
  });
}

test("the first vector has the fields that the file names", () => {
  const decision = parseDecision(bytes(vectors.cases[0]?.signed ?? ""));
  const told = Object.fromEntries(
    Object.entries(decision).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value instanceof Uint8Array ? toHex(value) : value,
    ]),
  );
  assert.deepEqual({ ...told, status: "ACTIVE" }, vectors.fields);
  assert.equal(decision.status, TrustStatus.ACTIVE);
});

test("a proof of presence is checked alike by the platform and by the library", async () => {
  const { audience, nonce, session_key, signature } = vectors.presence;
  const key = bytes(session_key);
  for (const verify of [verifyEd25519, verifyWithLibrary]) {
    for (const [asked, expected] of [[nonce, true], ["another", false]] as const) {
      const body = new TextEncoder().encode(`realtime/presence/v1\n${audience}\n${asked}`);
      assert.equal(await verify(key, body, bytes(signature)), expected);
    }
  }
});

test("the library refuses a signature with S + L as the platform does", async () => {
  const bent = vectors.cases.find(({ name }) => name === "signature with S + L");
  const signed = bytes(bent?.signed ?? "");
  const line = new TextEncoder().encode("realtime/decision/v1\n");
  const covered = Uint8Array.of(...line, ...signed.subarray(64));
  const key = keys.get(toHex(parseDecision(signed).keyId));
  assert.ok(key);
  assert.equal(await verifyWithLibrary(key, covered, signed.subarray(0, 64)), false);
});
