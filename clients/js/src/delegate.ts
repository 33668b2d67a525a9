/** A key of the page's own that a wallet lets log in: one prompt, then none until its end. */

import { sameBytes } from "./bytes.js";
import { findKept, forgetKept, keep } from "./delegate-store.js";
import { LocalProtocolError } from "./errors.js";
import { encodeTime } from "./login-text.js";
import {
  makePair, makeWithLibrary, sessionKeyOf, withPlatform, type SessionKey, type Signing,
} from "./session-key.js";
import type { Spending } from "./spending.js";

const DAY_MS = 86_400_000;
/** A grant that ends sooner isn't used any more. */
const LEFT_MS_MIN = 5_000;

export interface DelegateOptions {
  /** For how long the wallet is asked to let the key in. Default a day. */
  readonly livesMs?: number;
  /**
   * Keep the key in this origin's IndexedDB under this name, so that a reload needs no prompt.
   * Left out: the key lives in memory and is gone with the page.
   */
  readonly name?: string;
  /** A wallet from which the key may pay; the owner's wallet signs for both at once. */
  readonly spending?: Spending;
}

/** What a wallet granted a key. */
export interface DelegateGrant {
  readonly wallet: Uint8Array;
  readonly domain: string;
  readonly untilMs: number;
}

/** What a wallet is asked to sign for. */
export interface Asked {
  readonly resources: readonly string[];
  readonly untilMs: number;
  readonly spendUntilMs: number;
}

/** A pair that can be kept, or a key in memory. */
interface Held {
  readonly pair: CryptoKeyPair | null;
  readonly signing: Signing;
}

/**
 * Give it to `connect`. The secret half is WebCrypto's and can't be exported, in memory or in
 * IndexedDB. Where WebCrypto has no Ed25519 the key is a library's: it is in memory only, whatever
 * `name` says, since a key in IndexedDB could then be read by every script of the page.
 */
export class Delegate {
  private constructor(
    private held: Held,
    private granted: DelegateGrant | null,
    private readonly livesMs: number,
    private readonly name: string | null,
    private readonly spending: Spending | null,
  ) {}

  /** Return the key that is kept under `name`, or a new one. */
  static async open({ livesMs = DAY_MS, name, spending }: DelegateOptions = {}): Promise<Delegate> {
    if (!Number.isSafeInteger(livesMs) || livesMs < 1_000) {
      throw new RangeError(`livesMs is at least 1000, not ${livesMs}`);
    }
    const kept = name === undefined ? null : await findKept(name);
    const held = kept === null
      ? await makeHeld()
      : { pair: kept.pair, signing: await withPlatform(kept.pair) };
    return new Delegate(held, kept?.grant ?? null, livesMs, name ?? null, spending ?? null);
  }

  /** Where the key is, or will be once it is granted. */
  get keptIn(): "indexeddb" | "memory" {
    return this.name !== null && this.held.pair !== null ? "indexeddb" : "memory";
  }

  get publicKey(): Uint8Array {
    return this.held.signing.publicKey;
  }

  /** When the grant ends, epoch ms; 0 before there is one. */
  get untilMs(): number {
    return this.granted?.untilMs ?? 0;
  }

  /** The key as sessions use it; called by the login. */
  get key(): SessionKey {
    return sessionKeyOf(this.held.signing);
  }

  /**
   * Whether it was granted for this wallet and domain, and not too long ago; its spending wallet
   * must have been signed for too, and may spend still.
   */
  mayLogIn(wallet: Uint8Array, domain: string, nowMs = Date.now()): boolean {
    const { granted } = this;
    if (this.spending !== null && !this.spending.maySpend(wallet, nowMs)) return false;
    return granted !== null && sameBytes(granted.wallet, wallet) && granted.domain === domain &&
      nowMs + LEFT_MS_MIN < granted.untilMs;
  }

  /** The lines for the wallet to sign, and the ends that they name; called by the login. */
  ask(nowMs = Date.now()): Asked {
    const untilMs = Math.floor((nowMs + this.livesMs) / 1_000) * 1_000;
    const line = `${this.key.resource}?until=${encodeTime(untilMs)}`;
    const spend = this.spending?.ask(nowMs) ?? null;
    return {
      resources: spend === null ? [line] : [line, spend.resource],
      untilMs,
      spendUntilMs: spend?.untilMs ?? 0,
    };
  }

  /** The hub took the wallet's signature for it; called by the login. */
  async grant(granted: DelegateGrant, spendUntilMs = 0): Promise<void> {
    this.granted = granted;
    this.spending?.grant(granted.wallet, spendUntilMs);
    const { pair } = this.held;
    if (this.name !== null && pair !== null) await keep(this.name, { pair, grant: granted });
  }

  /** Give the key up, as one that was revoked: the next login grants another. */
  async forget(): Promise<void> {
    this.granted = null;
    this.held = await makeHeld();
    if (this.name !== null) await forgetKept(this.name);
  }
}

async function makeHeld(): Promise<Held> {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) {
    throw new LocalProtocolError("a delegated key needs a page from https or localhost");
  }
  const pair = await makePair(subtle);
  return { pair, signing: pair === null ? await makeWithLibrary() : await withPlatform(pair) };
}
