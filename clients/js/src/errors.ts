/**
 * Every error of this package carries `code`, `message`, `retry` and `docs`.
 *
 * `retry` says whether the same thing may succeed later, unchanged; `docs` names the place that
 * explains the code.
 */

import type { ErrorBody, PayRequest } from "./messages.js";
import type { Facts } from "./shapes.js";
import { CLOSES, CloseCode, ERRORS, ErrorCode } from "./tables.js";

const CODES_PAGE = "docs/reference/codes.md";

export abstract class RealtimeError extends Error {
  abstract readonly code: number | string;
  abstract readonly retry: boolean;
  abstract readonly docs: string;
}

/** The hub refused one request; the session goes on. */
export class RequestError extends RealtimeError {
  override readonly name = "RequestError";
  readonly retry: boolean;
  readonly docs: string;
  /** What to do about it, in a sentence. */
  readonly advice: string;
  /** A duration: how long to wait before the next try; null when the hub names none. */
  readonly retryAfterMs: number | null;
  /** The values behind the refusal. */
  readonly detail: Facts;

  constructor(
    readonly code: number,
    readonly codeName: string,
    body: Pick<ErrorBody, "retryAfterMs" | "detail">,
  ) {
    const detail = body.detail ?? {};
    const said = detail["message"];
    super(`${code} ${codeName}${said === undefined ? "" : `: ${said}`}`);
    const entry = ERRORS[code as ErrorCode] as (typeof ERRORS)[ErrorCode] | undefined;
    this.retry = entry?.retryable ?? false;
    this.advice = entry?.advice ?? "A newer hub's code: update the client.";
    this.docs = `${CODES_PAGE}#error-${code}`;
    this.retryAfterMs = body.retryAfterMs;
    this.detail = detail;
  }

  static from(body: ErrorBody): RequestError {
    const entry = ERRORS[body.code as ErrorCode] as (typeof ERRORS)[ErrorCode] | undefined;
    return new RequestError(body.code, entry?.name ?? "unknown_code", body);
  }
}

/** The connection closed. `retry` says whether the code asks to come back. */
export class ConnectionClosed extends RealtimeError {
  override readonly name = "ConnectionClosed";
  readonly retry: boolean;
  readonly docs: string;

  constructor(
    readonly code: number,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    const entry = CLOSES[code as CloseCode] as (typeof CLOSES)[CloseCode] | undefined;
    const advice = entry ? ` (${entry.advice})` : "";
    super(`connection closed: ${code}${reason ? ` ${reason}` : ""}${advice}`, options);
    this.retry = reconnects(code);
    this.docs = `${CODES_PAGE}#close-${code}`;
  }

  /** The pause that the hub asks for before the next connection; null when it names none. */
  get retryAfterMs(): number | null {
    const found = /(?:^|;)retry=(\d{1,9})(?:;|$)/.exec(this.reason);
    return found ? Number(found[1]) : null;
  }
}

/** Codes below 4000 are the network's; a hub that wants nobody back says 4500 or more. */
function reconnects(code: number): boolean {
  return code < 4500 && code !== 1000;
}

/** The hub broke a rule of the protocol; the connection closes with `code`. */
export class RemoteProtocolError extends RealtimeError {
  override readonly name = "RemoteProtocolError";
  readonly retry = false;
  readonly docs: string;
  constructor(
    readonly code: CloseCode,
    message: string,
  ) {
    super(message);
    this.docs = `${CODES_PAGE}#close-${code}`;
  }
}

/** This program was about to do what the protocol forbids. */
export class LocalProtocolError extends RealtimeError {
  override readonly name = "LocalProtocolError";
  readonly code = "misuse";
  readonly retry = false;
  readonly docs = "clients/js/README.md";
}

/** The SDK refuses to have something signed or sent on; `code` says what. */
export class Refused extends RealtimeError {
  override readonly name = "Refused";
  readonly retry = false;
  readonly docs = "docs/threat-model.md";
  constructor(
    readonly code: "challenge" | "quote" | "transaction" | "signer" | "spending" | "wallet_answer",
    message: string,
  ) {
    super(message);
  }
}

/**
 * Signed bytes were handed over and it isn't known what became of them. Never sign the same wish
 * anew: ask the hub for the payment, or hand the same bytes over under the same key.
 */
export class OutcomeUnknown extends RealtimeError {
  override readonly name = "OutcomeUnknown";
  readonly code = ErrorCode.OUTCOME_UNKNOWN;
  readonly retry = false;
  readonly docs = `${CODES_PAGE}#error-${ErrorCode.OUTCOME_UNKNOWN}`;
  constructor(
    /** What was handed over: key, quote, signed transaction and attempt. */
    readonly request: PayRequest,
    override readonly cause: Error,
  ) {
    super(`the payment was handed over and its outcome is unknown: ${cause.message}`);
  }
}

/** A reader left too many events waiting. */
export class SlowReader extends RealtimeError {
  override readonly name = "SlowReader";
  readonly code = "slow_reader";
  readonly retry = true;
  readonly docs = "clients/js/README.md";
}
