import type { Connection } from "./connection.js";
import { Refused } from "./errors.js";
import { buildLoginText, checkChallenge } from "./login-text.js";
import type { Challenge, LoginReply } from "./messages.js";
import { makeSessionKey, parseKeyResource, type SessionKey } from "./session-key.js";
import type { Signer } from "./signer.js";
import { RequestType } from "./tables.js";

const CHALLENGE_TTL_MS = 10_000;

export interface LoginOptions {
  /** The URL that was opened. */
  readonly url: string;
  /** The page's host, or the domain configured outside a browser. */
  readonly domain: string;
  /** The chain that the hub must name; null: whichever. */
  readonly chain: string | null;
  readonly resources: readonly string[];
  /** How long the signing may take; more than the hub's first challenge allows asks for another. */
  readonly signWithinMs: number | null;
}

export interface LoggedIn {
  readonly reply: LoginReply;
  /** What the session can be resumed with; null where there is none. */
  readonly key: SessionKey | null;
}

/** Sign the hub's challenge and log in. Throws Refused for a challenge made elsewhere. */
export async function login(
  connection: Connection,
  signer: Signer,
  options: LoginOptions,
): Promise<LoggedIn> {
  let challenge = await connection.challenge;
  // Before anything is signed or asked: a wrong hub gets no second chance to look right.
  checkChallenge(challenge, options);
  const ttlMs = options.signWithinMs;
  if (ttlMs !== null && challenge.expiresMs - challenge.serverMs < ttlMs) {
    challenge = await askChallenge(connection, options);
  }
  return signAndSend(connection, signer, options, challenge, RequestType.LOGIN);
}

/** Log in on a connection whose first challenge was used up by something else. */
export async function loginAnew(
  connection: Connection,
  signer: Signer,
  options: LoginOptions,
): Promise<LoggedIn> {
  const challenge = await askChallenge(connection, options);
  return signAndSend(connection, signer, options, challenge, RequestType.LOGIN);
}

/** Prolong the session that is open on *connection*, by another signature of its wallet. */
export async function refresh(
  connection: Connection,
  signer: Signer,
  options: LoginOptions,
): Promise<LoggedIn> {
  const challenge = await askChallenge(connection, options);
  return signAndSend(connection, signer, options, challenge, RequestType.REFRESH);
}

async function askChallenge(connection: Connection, options: LoginOptions): Promise<Challenge> {
  const ttlMs = options.signWithinMs ?? CHALLENGE_TTL_MS;
  const challenge = await connection.request(RequestType.CHALLENGE, { ttlMs });
  checkChallenge(challenge, options);
  return challenge;
}

async function signAndSend(
  connection: Connection,
  signer: Signer,
  options: LoginOptions,
  challenge: Challenge,
  type: typeof RequestType.LOGIN | typeof RequestType.REFRESH,
): Promise<LoggedIn> {
  const named = options.resources.some((line) => parseKeyResource(line) !== null);
  const key = named ? null : await makeSessionKey();
  const resources = [...options.resources, ...(key === null ? [] : [key.resource])];
  const text = buildLoginText(challenge, signer.identity, resources);
  const signature = await signer.sign(text);
  if (signature.length !== 64) {
    throw new Refused("signer", `a signature of ${signature.length} bytes, not 64`);
  }
  const { scheme, publicKey: wallet } = signer;
  const reply = await connection.request(type, { scheme, wallet, signature, resources });
  return { reply, key };
}
