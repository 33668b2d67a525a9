import { publicKeyOf } from "./identity.js";
import type { Intent } from "./messages.js";
import { DeadlineOf, Priority } from "./tables.js";

/** What an app says when it wants to pay; the payer is the session's wallet. */
export interface PaymentWish extends Partial<Omit<Intent, "source" | "destination" | "amountQu">> {
  /** A public key, or an identity of 60 letters. */
  readonly destination: Uint8Array | string;
  readonly amountQu: number;
}

const TIMEOUT_MS = 60_000;

/**
 * The whole intent of a wish: fastest, without a fee, to be accepted within a minute.
 *
 * Without KangarooTwelve an identity's last four letters can't be checked here: give the key, or
 * check the letters where they are typed in.
 */
export function makeIntent(source: Uint8Array, wish: PaymentWish): Intent {
  const { destination } = wish;
  return {
    source,
    destination: typeof destination === "string" ? publicKeyOf(destination) : destination,
    amountQu: wish.amountQu,
    priority: wish.priority ?? Priority.SPEED,
    maxFeeQu: wish.maxFeeQu ?? 0,
    timeoutMs: wish.timeoutMs ?? TIMEOUT_MS,
    deadlineOf: wish.deadlineOf ?? DeadlineOf.ACCEPTED,
    minReliabilityPpm: wish.minReliabilityPpm ?? null,
    exclude: wish.exclude ?? [],
    maxHops: wish.maxHops ?? null,
  };
}
