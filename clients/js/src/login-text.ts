/**
 * The text that a wallet signs to log in. A login sends no text: the hub builds the same one from
 * its own challenge, so both builders must agree to the byte.
 */

import { Refused } from "./errors.js";
import type { Challenge } from "./messages.js";

const TEXT_BYTES_MAX = 1_024;
const DIGEST_BYTES = 32;
const RESOURCES_MAX = 8;
const TIME_MS_MAX = 253_402_300_799_000; // The last second of the year 9999.
const PORT_MAX = 65_535;

const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const AUTHORITY = `(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9A-Fa-f:.]{2,45}\\])(?::([1-9][0-9]{0,4}))?`;
const TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z";

type TextField = "nonce" | "domain" | "uri" | "chain" | "requestId";
const FORMS: Readonly<Record<TextField, RegExp>> = {
  nonce: /^[0-9A-Za-z]{22}$/,
  domain: new RegExp(`^${AUTHORITY}$`),
  uri: new RegExp(`^(?:wss?|https?)://${AUTHORITY}(?:/[!-"$-~]*)?$`),
  chain: /^[a-z0-9][a-z0-9-]{0,31}$/,
  requestId: /^[0-9A-Za-z_-]{1,64}$/,
};
const RESOURCES: readonly RegExp[] = [
  /^urn:qubic:realtime:scope:(?:trust|quote|pay)$/,
  new RegExp(`^urn:qubic:realtime:key:ed25519:[0-9A-Za-z_-]{43}(?:\\?until=${TIME})?$`),
  new RegExp(`^urn:qubic:realtime:spend:[A-Z]{60}\\?max=[1-9][0-9]{0,14}&until=${TIME}$`),
];

/** What of a challenge goes into the text. */
export type TextSource = Pick<Challenge, TextField | "issuedMs" | "expiresMs">;

/** The line that asks for one scope only; a login without any has all three. */
export function scopeResource(scope: "trust" | "quote" | "pay"): string {
  return `urn:qubic:realtime:scope:${scope}`;
}

/** Build the login text; throws Refused when a field could bend it. */
export function buildLoginText(
  challenge: TextSource,
  identity: string,
  resources: readonly string[] = [],
): string {
  for (const name of Object.keys(FORMS) as TextField[]) requireForm(name, challenge[name]);
  if (challenge.expiresMs <= challenge.issuedMs) {
    throw new Refused("challenge", "the challenge expires before it was issued");
  }
  requireResources(resources);
  const lines = [
    `${challenge.domain} wants you to sign in with your Qubic account:`,
    identity,
    "",
    "Sign in to Realtime. This does not move any QU.",
    "",
    `URI: ${challenge.uri}`,
    "Version: 1",
    `Chain ID: ${challenge.chain}`,
    `Nonce: ${challenge.nonce}`,
    `Issued At: ${encodeTime(challenge.issuedMs)}`,
    `Expiration Time: ${encodeTime(challenge.expiresMs)}`,
    `Request ID: ${challenge.requestId}`,
  ];
  if (resources.length > 0) lines.push("Resources:", ...resources.map((line) => `- ${line}`));
  const text = lines.join("\n");
  // All ASCII: one letter a byte. A text of 32 bytes would be a digest to a wallet that signs raw.
  if (text.length > TEXT_BYTES_MAX || text.length === DIGEST_BYTES) {
    throw new Refused("challenge", `a login text of ${text.length} bytes; at most ${TEXT_BYTES_MAX}`);
  }
  return text;
}

/** What a challenge must name for this place. */
export interface Place {
  readonly url: string;
  readonly domain: string;
  readonly chain: string | null;
}

/**
 * Refuse a challenge that another place made: its uri must be the URL that was opened, its domain
 * the page's host (or, outside a browser, the configured domain).
 */
export function checkChallenge(challenge: Challenge, { url, domain, chain }: Place): void {
  if (challenge.uri !== url && challenge.uri !== new URL(url).href) {
    throw new Refused("challenge", `the challenge is for ${challenge.uri}, but ${url} was opened`);
  }
  if (challenge.domain !== domain) {
    throw new Refused("challenge", `the challenge is for ${challenge.domain}, not for ${domain}`);
  }
  if (chain !== null && challenge.chain !== chain) {
    throw new Refused("challenge", `the challenge is for chain ${challenge.chain}, not ${chain}`);
  }
}

function requireForm(name: TextField, value: string): void {
  const match = FORMS[name].exec(value);
  if (match === null) {
    throw new Refused("challenge", `${name} ${JSON.stringify(value)} doesn't have the form of one`);
  }
  if (match[1] !== undefined && Number(match[1]) > PORT_MAX) {
    throw new Refused("challenge", `${name} names port ${match[1]}; the last one is ${PORT_MAX}`);
  }
}

function requireResources(resources: readonly string[]): void {
  if (resources.length > RESOURCES_MAX) {
    throw new Refused("challenge", `${resources.length} resources; at most ${RESOURCES_MAX}`);
  }
  const unknown = resources.find((line) => !RESOURCES.some((form) => form.test(line)));
  if (unknown !== undefined) {
    throw new Refused("challenge", `unknown resource ${unknown}; known are scope, key and spend`);
  }
}

/** A whole second as login texts name it. */
export function encodeTime(epochMs: number): string {
  if (epochMs % 1_000 !== 0 || epochMs < 0 || epochMs > TIME_MS_MAX) {
    throw new Refused("challenge", `time ${epochMs} ms is not a whole second from 1970 to 9999`);
  }
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
