/**
 * Qubic transactions: source 32, destination 32, amount i64, tick u32, input type u16, input
 * size u16, payload, signature 64; little-endian, no padding.
 */

import { sameBytes, toHex } from "./bytes.js";
import { Refused } from "./errors.js";
import type { Intent, PrepareReply, Quote } from "./messages.js";

const HEADER_BYTES = 80;
const INPUT_BYTES_MAX = 1_024;
const SIGNATURE_BYTES = 64;
const AMOUNT_QU_MAX = 10n ** 15n;

/** The fields of an unsigned transaction. */
export interface Transaction {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly amountQu: number;
  readonly tick: number;
  readonly inputType: number;
  readonly payload: Uint8Array;
}

/** Take the bytes before a signature apart; throws Refused when they aren't a transaction. */
export function parseUnsigned(unsigned: Uint8Array): Transaction {
  if (unsigned.length < HEADER_BYTES) refuse(`it has ${unsigned.length} bytes`);
  const view = new DataView(unsigned.buffer, unsigned.byteOffset, unsigned.byteLength);
  const amountQu = view.getBigInt64(64, true);
  const inputBytes = view.getUint16(78, true);
  if (amountQu < 0n || amountQu > AMOUNT_QU_MAX) refuse(`its amount is ${amountQu}`);
  if (inputBytes > INPUT_BYTES_MAX || unsigned.length !== HEADER_BYTES + inputBytes) {
    refuse(`its input size of ${inputBytes} doesn't fit its ${unsigned.length} bytes`);
  }
  return {
    source: unsigned.slice(0, 32),
    destination: unsigned.slice(32, 64),
    amountQu: Number(amountQu),
    tick: view.getUint32(72, true),
    inputType: view.getUint16(76, true),
    payload: unsigned.slice(HEADER_BYTES),
  };
}

/**
 * How far a target tick may lie from the quote's last tick: ten minutes at a tick a second. A hub
 * that may choose any could keep the bytes and use them after it said that the payment failed.
 */
export const TICKS_AHEAD_MAX = 600;

/** What was agreed beyond the intent; null: whatever the hub says. */
export interface Agreed {
  readonly quoteId: Uint8Array | null;
  readonly attempt: number | null;
  readonly tickMin: number;
  readonly tickMax: number;
}

/** Refuse a quote by which nothing can be paid that this client could check. */
export function checkQuote(quote: Quote, intent: Intent): void {
  const why =
    quote.route === null ? "there is no route now"
    : !quote.executable ? `a route of kind ${quote.route.kind} can't be paid by this hub`
    : quote.feeQu > intent.maxFeeQu ? `its fee is ${quote.feeQu} QU, above ${intent.maxFeeQu}`
    : quote.route.kind !== "direct" || quote.feeQu !== 0
      ? `this client can't check a payment of kind ${quote.route.kind} with a fee of ${quote.feeQu}`
    : null;
  if (why !== null) throw new Refused("quote", `the quote can't be paid: ${why}`);
}

/**
 * Compare what the hub prepared with the payer's own wish, field by field: source, destination,
 * amount, tick, input type, payload. Throws Refused naming the first that differs.
 *
 * A plain transfer is the only kind that this client can check, so it is the only one it takes.
 */
export function checkPrepared(
  prepared: PrepareReply,
  intent: Intent,
  agreed: Agreed,
): Transaction {
  const made = parseUnsigned(prepared.unsignedTx);
  if (!sameBytes(made.source, intent.source)) refuse(`its source is ${toHex(made.source)}`);
  if (!sameBytes(made.destination, intent.destination)) {
    refuse(`its destination is ${toHex(made.destination)}`);
  }
  if (made.amountQu !== intent.amountQu) {
    refuse(`its amount is ${made.amountQu} QU, not ${intent.amountQu}`);
  }
  if (made.tick !== prepared.tick) {
    refuse(`its tick is ${made.tick}, but the hub named ${prepared.tick}`);
  }
  if (made.tick < agreed.tickMin || made.tick > agreed.tickMax) {
    refuse(`its tick ${made.tick} is not in ${agreed.tickMin}..${agreed.tickMax}`);
  }
  if (made.inputType !== 0) refuse(`its input type is ${made.inputType}, not a transfer's 0`);
  if (made.payload.length !== 0) refuse(`it carries ${made.payload.length} bytes of payload`);
  if (agreed.quoteId && !sameBytes(prepared.quoteId, agreed.quoteId)) {
    refuse("it is for another quote");
  }
  if (agreed.attempt !== null && prepared.attempt !== agreed.attempt) {
    refuse(`it is attempt ${prepared.attempt}, not ${agreed.attempt}`);
  }
  return made;
}

/** Refuse what a wallet returns unless it is the very transaction, followed by a signature. */
export function checkSigned(signed: Uint8Array, unsigned: Uint8Array): void {
  const ends = unsigned.length + SIGNATURE_BYTES;
  if (signed.length !== ends || !sameBytes(signed.subarray(0, unsigned.length), unsigned)) {
    refuse("the wallet signed another one than it was given");
  }
}

function refuse(why: string): never {
  throw new Refused("transaction", `the transaction is not the one that was asked for: ${why}`);
}
