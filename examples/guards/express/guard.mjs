/**
 * Express middleware that lets requests in by their wallet.
 *
 * A wallet proves itself once, by a hub's decision that names its session key and by that key's
 * signature over a nonce of ours; it gets a token of our own. What counts now is pushed.
 */

import { createHmac, createPublicKey, randomBytes, timingSafeEqual, verify } from "node:crypto";

import { DecisionRefused, publicKeyOf, verifyDecision, weighDecision } from "@qubic-realtime/client";

const NONCE_MS = 60_000;
const TOKEN_MS = 900_000;
const KEYS_MS = 300_000;
const BODY_BYTES_MAX = 4_096;
const NONCES_USED_MAX = 100_000;
const ACTIVE = 1;

class Refused extends Error {
  constructor(status, title, detail) {
    super(detail);
    Object.assign(this, { status, title });
  }
}

export function guard({ api, feed, audience, scoreMin = 0, secret = randomBytes(32) }) {
  const seals = new Seals(secret, audience);
  const keys = new HubKeys(api);

  const judge = async (wallet) => {
    const state = await feed.get(wallet);
    if (state === null) throw new Refused(503, "trust_stale", "the hub doesn't vouch now");
    if (state.status === "BLOCKED") throw new Refused(403, "wallet_blocked", "the wallet is blocked");
    if (state.status !== "ACTIVE" || state.score < scoreMin) {
      throw new Refused(403, "trust_too_low", `this needs an ACTIVE wallet with score ${scoreMin}`);
    }
    return state;
  };

  const logIn = async (request) => {
    const { wallet, decision, nonce, proof } = await readJson(request);
    if (![wallet, decision, nonce, proof].every((text) => typeof text === "string")) {
      throw new Refused(400, "bad_message", "send wallet, decision, nonce and proof as texts");
    }
    let told;
    try {
      told = await verifyDecision(base64url(decision), await keys.current(), { audience });
    } catch (error) {
      if (error instanceof DecisionRefused) throw stranger(error.message);
      throw error;
    }
    const verdict = weighDecision(told, { nowMs: Date.now(), staleAllowed: false });
    if (!told.sessionKey || verdict.status !== ACTIVE) throw stranger("fetch a new decision");
    if (!sameWallet(wallet, told.wallet)) throw stranger("the decision is about another wallet");
    seals.useNonce(nonce);
    const covered = Buffer.from(`realtime/presence/v1\n${audience}\n${nonce}`);
    if (!verify(null, covered, ed25519(told.sessionKey), base64url(proof))) {
      throw stranger("the session key in the decision did not sign this nonce");
    }
    await judge(wallet);
    const expiresMs = Math.min(Date.now() + TOKEN_MS, told.staleUntilMs);
    return { token: seals.seal("token", `${expiresMs} ${wallet}`), expires_ms: expiresMs, wallet };
  };

  const authenticate = (request) => {
    const [scheme, token] = (request.headers.authorization ?? "").split(" ");
    if (scheme.toLowerCase() !== "bearer" || !token) {
      // X-Wallet-Address alone proves nothing: anybody can send it.
      throw stranger("prove your wallet at /.realtime/session and send the token as Bearer");
    }
    const [expiresMs, wallet] = seals.open("token", token).split(" ");
    if (Date.now() >= Number(expiresMs)) throw stranger("the token has run out");
    return wallet;
  };

  return async (request, response, next) => {
    try {
      if (request.path === "/.realtime/challenge") {
        response.json({ nonce: seals.issueNonce(), audience });
      } else if (request.path === "/.realtime/session" && request.method === "POST") {
        response.json(await logIn(request));
      } else {
        const wallet = authenticate(request);
        delete request.headers["x-wallet-address"];
        request.realtime = { wallet, ...(await judge(wallet)) };
        next();
      }
    } catch (error) {
      if (!(error instanceof Refused)) return next(error);
      if (error.status === 503) response.set("Retry-After", "1");
      response.status(error.status).type("application/problem+json").send(JSON.stringify({
        type: "about:blank", title: error.title, status: error.status, detail: error.message,
      }));
    }
  };
}

/** Nonces that count once, and tokens: values under a MAC, so that nothing is stored before use. */
class Seals {
  #used = new Map();

  constructor(secret, audience) {
    Object.assign(this, { secret, audience });
  }

  seal(kind, body) {
    const mac = this.#mac(kind, body).toString("base64url");
    return `${Buffer.from(body).toString("base64url")}.${mac}`;
  }

  open(kind, text) {
    const body = Buffer.from(text.split(".")[0], "base64url").toString();
    const expected = Buffer.from(this.seal(kind, body));
    const shown = Buffer.from(text);
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected)) {
      throw stranger(`this is no ${kind} of ours`);
    }
    return body;
  }

  issueNonce() {
    return this.seal("nonce", `${Date.now() + NONCE_MS} ${randomBytes(16).toString("hex")}`);
  }

  useNonce(nonce) {
    const expiresMs = Number(this.open("nonce", nonce).split(" ")[0]);
    const nowMs = Date.now();
    for (const [used, untilMs] of this.#used) {
      if (untilMs > nowMs) break;
      this.#used.delete(used);
    }
    if (nowMs >= expiresMs || this.#used.has(nonce) || this.#used.size >= NONCES_USED_MAX) {
      throw stranger("the nonce was used or is too old; ask for another one");
    }
    this.#used.set(nonce, expiresMs);
  }

  #mac(kind, body) {
    return createHmac("sha256", this.secret).update(`${kind}\n${this.audience}\n${body}`).digest();
  }
}

/** The hub's public decision keys; read over TLS, or better: pinned. */
class HubKeys {
  #keys = new Map();
  #readMs = -Infinity;

  constructor(api) {
    this.api = api;
  }

  async current() {
    if (performance.now() - this.#readMs > KEYS_MS) {
      const answer = await fetch(`${this.api}/keys`, { signal: AbortSignal.timeout(5_000) });
      const { keys } = await answer.json();
      this.#keys = new Map(keys.filter(({ purpose }) => purpose === "decision").map(
        ({ key_id: id, public_key: key }) => [id, new Uint8Array(Buffer.from(key, "hex"))],
      ));
      this.#readMs = performance.now();
    }
    return this.#keys;
  }
}

async function readJson(request) {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) {
    text += piece;
    if (text.length > BODY_BYTES_MAX) throw new Refused(413, "too_large", "send less");
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Refused(400, "bad_message", "the body is not JSON");
  }
}

function sameWallet(identity, publicKey) {
  try {
    return Buffer.from(publicKeyOf(identity)).equals(Buffer.from(publicKey));
  } catch {
    return false;
  }
}

function ed25519(publicKey) {
  const x = Buffer.from(publicKey).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

function base64url(text) {
  return new Uint8Array(Buffer.from(text, "base64url"));
}

function stranger(detail) {
  return new Refused(401, "not_authenticated", detail);
}
