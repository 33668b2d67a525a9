/** A wallet that pays for its owner without a prompt, within what the owner's wallet signed. */

import { sameBytes } from "./bytes.js";
import { Refused } from "./errors.js";
import { encodeTime } from "./login-text.js";
import type { Intent } from "./messages.js";
import { checkSigner, type Signer } from "./signer.js";
import { AMOUNT_QU_MAX } from "./tables.js";

const HOUR_MS = 3_600_000;

export interface SpendingOptions {
  /** The most that may be spent in all, for which the owner's wallet is asked. */
  readonly maxQu: number;
  /** For how long the owner's wallet is asked. Default an hour. */
  readonly livesMs?: number;
}

/**
 * Give it to a `Delegate`, fund it by an ordinary payment, then `session.pay(wish, { source })`.
 *
 * Its signer holds the key, which must be the app's own: this package has no SchnorrQ. The bounds
 * are kept before anything is signed, and what was signed counts for good. They live in memory:
 * after a reload the owner's wallet is asked again.
 */
export class Spending {
  private owner: Uint8Array | null = null;
  private maxQu = 0;
  private spentQu = 0;
  private endsMs = 0;
  private readonly wishedQu: number;
  private readonly livesMs: number;

  constructor(
    readonly signer: Signer,
    { maxQu, livesMs = HOUR_MS }: SpendingOptions,
  ) {
    checkSigner(signer);
    if (!Number.isSafeInteger(maxQu) || maxQu < 1 || maxQu > AMOUNT_QU_MAX) {
      throw new RangeError(`maxQu is a whole number from 1 to ${AMOUNT_QU_MAX}, not ${maxQu}`);
    }
    this.wishedQu = maxQu;
    this.livesMs = livesMs;
  }

  /** What it may still spend under what was signed, whatever it holds. */
  get leftQu(): number {
    return this.maxQu - this.spentQu;
  }

  /** Until when it may spend, epoch ms; 0 before the owner's wallet has signed. */
  get untilMs(): number {
    return this.endsMs;
  }

  maySpend(owner: Uint8Array, nowMs = Date.now()): boolean {
    return this.owner !== null && sameBytes(this.owner, owner) && nowMs < this.endsMs;
  }

  /** The line for the owner's wallet to sign; called by the login. */
  ask(nowMs = Date.now()): { readonly resource: string; readonly untilMs: number } {
    const untilMs = Math.floor((nowMs + this.livesMs) / 1_000) * 1_000;
    const bounds = `max=${this.wishedQu}&until=${encodeTime(untilMs)}`;
    return { resource: `urn:qubic:realtime:spend:${this.signer.identity}?${bounds}`, untilMs };
  }

  /** The hub took the owner's signature: the count begins anew; called by the login. */
  grant(owner: Uint8Array, untilMs: number): void {
    this.owner = owner;
    this.endsMs = untilMs;
    this.maxQu = this.wishedQu;
    this.spentQu = 0;
  }

  /**
   * Count a payment that is about to be signed, for the first time or `again`; throws Refused when
   * it may not be. What goes home to the owner counts against nothing; called by payments.
   */
  spend({ destination, amountQu }: Intent, owner: Uint8Array, again: boolean): void {
    if (sameBytes(destination, owner)) return;
    if (!this.maySpend(owner)) {
      throw new Refused("spending", "its time is over, or nobody has signed for it; connect anew");
    }
    if (again) return;
    if (amountQu > this.leftQu) {
      throw new Refused("spending", `${amountQu} QU are too much: ${this.leftQu} QU are left`);
    }
    this.spentQu += amountQu;
  }
}
