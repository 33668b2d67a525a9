/** The Ed25519 key of a session: made at its login, never exported, gone with the page. */

import { parseBase64 } from "./bytes.js";

const LOGIN_LINE = "realtime/login/v1";
const RESUME_LINE = "realtime/resume/v1";
const PRESENCE_LINE = "realtime/presence/v1";

/** What a resume's proof covers beside its type line. */
export interface ResumeFields {
  readonly domain: string;
  readonly uri: string;
  readonly sid: string;
  readonly nonce: string;
}

/** What a device asked: who it is, and the nonce that it sent. */
export interface PresenceFields {
  readonly audience: string;
  readonly nonce: string;
}

export interface SessionKey {
  /** The line of the login text that makes this key the session's. */
  readonly resource: string;
  /** Sign a login text, as a key that may log in by itself. */
  signLogin(text: string): Promise<Uint8Array>;
  /** Prove that the session with that sid is this key's, on the connection with that nonce. */
  proveResume(fields: ResumeFields): Promise<Uint8Array>;
  /** Prove to a device that this key is here now. */
  provePresence(fields: PresenceFields): Promise<Uint8Array>;
}

/**
 * Make a key: WebCrypto's, which nothing can export; where that has no Ed25519, one in memory.
 *
 * Null where the page is neither https nor localhost: then a session can't be resumed, and one
 * that is lost is logged in to again.
 */
export async function makeSessionKey(): Promise<SessionKey | null> {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return null;
  const pair = await makePair(subtle);
  return sessionKeyOf(pair === null ? await makeWithLibrary() : await withPlatform(pair));
}

/** What a session needs of a key. */
export function sessionKeyOf({ publicKey, sign }: Signing): SessionKey {
  const signLines = (...lines: string[]): Promise<Uint8Array> =>
    sign(new TextEncoder().encode(lines.join("\n")));
  return {
    resource: `urn:qubic:realtime:key:ed25519:${toBase64Url(publicKey)}`,
    signLogin: (text) => signLines(LOGIN_LINE, text),
    proveResume: ({ domain, uri, sid, nonce }) =>
      signLines(RESUME_LINE, domain, uri, sid, nonce),
    provePresence: ({ audience, nonce }) => signLines(PRESENCE_LINE, audience, nonce),
  };
}

export interface Signing {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
}

/** A pair of WebCrypto's whose secret half nothing can export; null where it has no Ed25519. */
export async function makePair(subtle: SubtleCrypto): Promise<CryptoKeyPair | null> {
  try {
    return (await subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  } catch {
    return null;
  }
}

export async function withPlatform({ publicKey, privateKey }: CryptoKeyPair): Promise<Signing> {
  const { subtle } = crypto;
  return {
    publicKey: new Uint8Array(await subtle.exportKey("raw", publicKey)),
    sign: async (message) => new Uint8Array(await subtle.sign("Ed25519", privateKey, message)),
  };
}

/** The key of browsers whose WebCrypto has no Ed25519; the library is loaded only there. */
export async function makeWithLibrary(): Promise<Signing> {
  const library = await import("@noble/ed25519");
  const secret = crypto.getRandomValues(new Uint8Array(32));
  return {
    publicKey: await library.getPublicKeyAsync(secret),
    sign: (message) => library.signAsync(message, secret),
  };
}

/** The public key in a login text's key line; null for any other line. */
export function parseKeyResource(line: string): Uint8Array | null {
  const found = /^urn:qubic:realtime:key:ed25519:([0-9A-Za-z_-]{43})(?:\?|$)/.exec(line)?.[1];
  if (found === undefined) return null;
  return parseBase64(`${found.replaceAll("-", "+").replaceAll("_", "/")}=`);
}

function toBase64Url(data: Uint8Array): string {
  const letters = btoa(String.fromCharCode(...data));
  return letters.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
