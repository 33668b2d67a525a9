import type { Connection } from "./connection.js";
import type { Delegate } from "./delegate.js";
import { Refused, RequestError } from "./errors.js";
import { buildLoginText, checkChallenge } from "./login-text.js";
import type { Challenge, LoginReply } from "./messages.js";
import { makeSessionKey, parseKeyResource, type SessionKey } from "./session-key.js";
import type { Signer } from "./signer.js";
import { ErrorCode, RequestType, Scheme } from "./tables.js";

const CHALLENGE_TTL_MS = 10_000;
const SCOPE_PREFIX = "urn:qubic:realtime:scope:";
/** Refusals of a key that a further signature of the wallet mends. */
const ASK_THE_WALLET: readonly number[] = [
  ErrorCode.BAD_SIGNATURE, ErrorCode.FORBIDDEN_SCOPE, ErrorCode.DOMAIN_MISMATCH,
];

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
  /** The key that logs in instead of the wallet, once that has signed for it. */
  readonly delegate: Delegate | null;
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
  if (mayUse(options.delegate, signer, options)) {
    return byKeyOrWallet(connection, signer, options, challenge, options.delegate);
  }
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
  if (mayUse(options.delegate, signer, options)) {
    return byKeyOrWallet(connection, signer, options, challenge, options.delegate);
  }
  return signAndSend(connection, signer, options, challenge, RequestType.LOGIN);
}

/**
 * Prolong the session that is open on *connection* and ends at *sessionExpMs*: by another signature
 * of the delegate where its grant reaches further, else of the wallet.
 */
export async function refresh(
  connection: Connection,
  signer: Signer,
  options: LoginOptions,
  sessionExpMs: number,
): Promise<LoggedIn> {
  const { delegate } = options;
  if (delegate !== null && delegate.untilMs > sessionExpMs) {
    const challenge = await askChallenge(connection, options);
    return byKey(connection, signer, options, challenge, delegate, RequestType.REFRESH);
  }
  const challenge = await askChallenge(connection, options);
  return signAndSend(connection, signer, options, challenge, RequestType.REFRESH);
}

function mayUse(
  delegate: Delegate | null,
  signer: Signer,
  { domain }: LoginOptions,
): delegate is Delegate {
  return delegate !== null && delegate.mayLogIn(signer.publicKey, domain);
}

/** Log in by key; where the hub lets that in no more, or not so far, ask the wallet. */
async function byKeyOrWallet(
  connection: Connection,
  signer: Signer,
  options: LoginOptions,
  challenge: Challenge,
  delegate: Delegate,
): Promise<LoggedIn> {
  try {
    return await byKey(connection, signer, options, challenge, delegate, RequestType.LOGIN);
  } catch (error) {
    if (!(error instanceof RequestError) || !ASK_THE_WALLET.includes(error.code)) throw error;
    if (error.code === ErrorCode.BAD_SIGNATURE) await delegate.forget();
    const another = await askChallenge(connection, options);
    return signAndSend(connection, signer, options, another, RequestType.LOGIN);
  }
}

async function byKey(
  connection: Connection,
  { publicKey: wallet, identity }: Signer,
  options: LoginOptions,
  challenge: Challenge,
  { key }: Delegate,
  type: typeof RequestType.LOGIN | typeof RequestType.REFRESH,
): Promise<LoggedIn> {
  const scopes = options.resources.filter((line) => line.startsWith(SCOPE_PREFIX));
  const resources = [...scopes, key.resource];
  const signature = await key.signLogin(buildLoginText(challenge, identity, resources));
  const body = { scheme: Scheme.KEY, wallet, signature, resources };
  return { reply: await connection.request(type, body), key };
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
  const { delegate } = options;
  const asked = delegate?.ask() ?? null;
  const key = delegate?.key ?? (named ? null : await makeSessionKey());
  const lines = asked?.resources ?? (key === null ? [] : [key.resource]);
  const resources = [...options.resources, ...lines];
  const text = buildLoginText(challenge, signer.identity, resources);
  const signature = await signer.sign(text);
  if (signature.length !== 64) {
    throw new Refused("signer", `a signature of ${signature.length} bytes, not 64`);
  }
  const { scheme, publicKey: wallet } = signer;
  const reply = await connection.request(type, { scheme, wallet, signature, resources });
  if (delegate !== null && asked !== null) {
    const { untilMs, spendUntilMs } = asked;
    await delegate.grant({ wallet, domain: options.domain, untilMs }, spendUntilMs);
  }
  return { reply, key };
}
