/**
 * A hub's signed decision on a wallet, verified and weighed without a network.
 *
 * 64 bytes of Ed25519, then the msgpack array that they cover behind `realtime/decision/v1` and LF.
 * Exactly one sequence of bytes says one thing. The rules are those of docs/decisions/0009.
 */

import { decode, encode } from "@msgpack/msgpack";

import { sameBytes, toHex } from "./bytes.js";
import { RealtimeError } from "./errors.js";
import { verifyEd25519 } from "./ed25519.js";
import { INTEGER_MAX, TrustStatus } from "./tables.js";

const DECISION_BYTES_MAX = 255;
const SIGNATURE_BYTES = 64;
const KEY_BYTES = 32;
const SHORT_BYTES = 8;
const SCORE_MAX = 100;
const AUDIENCE = /^[!-~]{1,61}$/;
const NONCE = /^[!-~]{1,32}$/;
const TYPE_LINE = new TextEncoder().encode("realtime/decision/v1\n");

/** Why bytes are no decision for this reader, in the order in which it is looked at. */
export type DecisionRefusal =
  | "too_long" | "malformed" | "unknown_key" | "bad_signature" | "other_audience" | "other_nonce";

/** These bytes are no decision for this reader; `code` says why. */
export class DecisionRefused extends RealtimeError {
  override readonly name = "DecisionRefused";
  readonly retry = false;
  readonly docs = "docs/decisions/0009-signed-decisions.md";
  constructor(
    readonly code: DecisionRefusal,
    message: string,
  ) {
    super(message);
  }
}

/** What a hub says of a wallet. Times are epoch ms. */
export interface Decision {
  readonly wallet: Uint8Array;
  readonly status: TrustStatus;
  readonly score: number;
  /** It reflects every change up to this place of the trust log with that epoch. */
  readonly seq: number;
  readonly epoch: Uint8Array;
  readonly issuedMs: number;
  readonly freshUntilMs: number;
  readonly staleUntilMs: number;
  readonly audience: string;
  /** The Ed25519 key that stands for the wallet; without one nobody's presence can be proven. */
  readonly sessionKey: Uint8Array | null;
  readonly keyId: Uint8Array;
  readonly nonce: string | null;
}

export type Freshness = "fresh" | "stale" | "expired" | "no_clock";

/** What counts now. */
export interface Verdict {
  readonly status: TrustStatus;
  readonly score: number;
  readonly freshness: Freshness;
}

/** The hubs' public keys that a reader trusts, by key id in hex. */
export type DecisionKeys = ReadonlyMap<string, Uint8Array>;

/** Take a decision apart **without trusting it**; throws DecisionRefused for its form. */
export function parseDecision(signed: Uint8Array): Decision {
  if (signed.length > DECISION_BYTES_MAX) {
    throw new DecisionRefused("too_long", `${signed.length} bytes; at most ${DECISION_BYTES_MAX}`);
  }
  const body = signed.subarray(SIGNATURE_BYTES);
  const fields = readArray(body);
  const decision = readFields(fields);
  // The shortest forms only: a second form of the same fields would be a second decision.
  if (decision === null || !sameBytes(encode(fields), body)) {
    throw new DecisionRefused("malformed", "not in the one form of a decision");
  }
  return decision;
}

/**
 * The decision that a hub signed for `audience`; throws DecisionRefused otherwise.
 *
 * With `nonce` only the answer to that nonce counts.
 */
export async function verifyDecision(
  signed: Uint8Array,
  keys: DecisionKeys,
  { audience, nonce = null }: { readonly audience: string; readonly nonce?: string | null },
): Promise<Decision> {
  const decision = parseDecision(signed);
  const id = toHex(decision.keyId);
  const key = keys.get(id);
  if (key === undefined || toHex(await keyIdOf(key)) !== id) {
    throw new DecisionRefused("unknown_key", `key ${id} is not one of the known hubs'`);
  }
  const covered = Uint8Array.of(...TYPE_LINE, ...signed.subarray(SIGNATURE_BYTES));
  if (!(await verifyEd25519(key, covered, signed.subarray(0, SIGNATURE_BYTES)))) {
    throw new DecisionRefused("bad_signature", "the signature is not that key's over this");
  }
  if (decision.audience !== audience) {
    throw new DecisionRefused("other_audience", `made for ${decision.audience}, not ${audience}`);
  }
  if (nonce !== null && decision.nonce !== nonce) {
    throw new DecisionRefused("other_nonce", "made in answer to another nonce, or to none");
  }
  return decision;
}

/** The 8 bytes that name a hub's key: the start of its SHA-256. */
export async function keyIdOf(publicKey: Uint8Array): Promise<Uint8Array> {
  const digest = await crypto.subtle.digest("SHA-256", Uint8Array.from(publicKey));
  return new Uint8Array(digest, 0, SHORT_BYTES);
}

/**
 * The time that a device goes by; null without a clock. A clock is never believed behind the newest
 * `issuedMs` of a verified decision.
 */
export function deviceTimeMs(clockMs: number | null, newestIssuedMs: number): number | null {
  return clockMs === null ? null : Math.max(clockMs, newestIssuedMs);
}

/**
 * What a **verified** decision says at `nowMs`, for an action that may or may not use a stale one.
 * BLOCKED stands at any age and without a clock: only a newer decision ends it.
 */
export function weighDecision(
  decision: Decision,
  { nowMs, staleAllowed }: { readonly nowMs: number | null; readonly staleAllowed: boolean },
): Verdict {
  const freshness = freshnessOf(decision, nowMs);
  const usable = freshness === "fresh" || (freshness === "stale" && staleAllowed);
  return decision.status === TrustStatus.BLOCKED || usable
    ? { status: decision.status, score: decision.score, freshness }
    : { status: TrustStatus.UNKNOWN, score: 0, freshness };
}

/**
 * Whether `offered` takes the place of `held`, a decision on the same wallet: within one epoch by
 * seq, at the same seq BLOCKED, else the later issue; across epochs the later issue.
 */
export function supersedes(offered: Decision, held: Decision): boolean {
  if (sameBytes(offered.epoch, held.epoch)) {
    if (offered.seq !== held.seq) return offered.seq > held.seq;
    const blocks = offered.status === TrustStatus.BLOCKED;
    if (blocks !== (held.status === TrustStatus.BLOCKED)) return blocks;
  }
  return offered.issuedMs > held.issuedMs;
}

function freshnessOf(decision: Decision, nowMs: number | null): Freshness {
  if (nowMs === null) return "no_clock";
  if (nowMs < decision.freshUntilMs) return "fresh";
  return nowMs < decision.staleUntilMs ? "stale" : "expired";
}

function readArray(body: Uint8Array): readonly unknown[] {
  let value: unknown;
  try {
    value = decode(body, { maxArrayLength: 13, maxMapLength: 0, maxExtLength: 0 });
  } catch (error) {
    throw new DecisionRefused("malformed", `not msgpack: ${(error as Error).message}`);
  }
  if (!Array.isArray(value) || (value.length !== 12 && value.length !== 13)) {
    throw new DecisionRefused("malformed", "not an array of 12 or 13 elements");
  }
  return value;
}

function readFields(fields: readonly unknown[]): Decision | null {
  const [version, wallet, status, score, seq, epoch, issuedMs, freshUntilMs, staleUntilMs,
    audience, sessionKey, keyId, nonce] = fields;
  const fits =
    version === 1 &&
    isBytes(wallet, KEY_BYTES) &&
    isUint(status, TrustStatus.BLOCKED) &&
    isUint(score, SCORE_MAX) &&
    isUint(seq) &&
    isBytes(epoch, SHORT_BYTES) &&
    isUint(issuedMs) &&
    isUint(freshUntilMs) &&
    isUint(staleUntilMs) &&
    issuedMs <= freshUntilMs &&
    freshUntilMs <= staleUntilMs &&
    isText(audience, AUDIENCE) &&
    (sessionKey === null || isBytes(sessionKey, KEY_BYTES)) &&
    isBytes(keyId, SHORT_BYTES) &&
    (fields.length === 12 || isText(nonce, NONCE));
  if (!fits) return null;
  return {
    wallet, status: status as TrustStatus, score, seq, epoch, issuedMs, freshUntilMs, staleUntilMs,
    audience, sessionKey, keyId, nonce: fields.length === 12 ? null : (nonce as string),
  };
}

function isBytes(value: unknown, size: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === size;
}

function isUint(value: unknown, most: number = INTEGER_MAX): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

function isText(value: unknown, form: RegExp): value is string {
  return typeof value === "string" && form.test(value);
}
