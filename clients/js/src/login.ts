import type { Connection } from "./connection.js";
import { Refused } from "./errors.js";
import { buildLoginText, checkChallenge } from "./login-text.js";
import type { LoginReply } from "./messages.js";
import type { Signer } from "./signer.js";
import { RequestType } from "./tables.js";

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

/** Sign the hub's challenge and log in. Throws Refused for a challenge made elsewhere. */
export async function login(
  connection: Connection,
  signer: Signer,
  options: LoginOptions,
): Promise<LoginReply> {
  let challenge = await connection.challenge;
  // Before anything is signed or asked: a wrong hub gets no second chance to look right.
  checkChallenge(challenge, options);
  const ttlMs = options.signWithinMs;
  if (ttlMs !== null && challenge.expiresMs - challenge.serverMs < ttlMs) {
    challenge = await connection.request(RequestType.CHALLENGE, { ttlMs });
    checkChallenge(challenge, options);
  }
  const text = buildLoginText(challenge, signer.identity, options.resources);
  const signature = await signer.sign(text);
  if (signature.length !== 64) {
    throw new Refused("signer", `a signature of ${signature.length} bytes, not 64`);
  }
  return connection.request(RequestType.LOGIN, {
    scheme: signer.scheme,
    wallet: signer.publicKey,
    signature,
    resources: [...options.resources],
  });
}
