// Made by scripts/generate_tables.py from protocol/realtime_protocol. Don't edit.

export const INTEGER_MAX = 9007199254740991;
export const AMOUNT_QU_MAX = 200000000000000;
export const REPLY_BIT = 64;
export const ERROR_REPLY = 127;
export const PUSH_TYPE_MIN = 128;
export const PUSH_TYPE_MAX = 191;
export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL_MSGPACK = "realtime.qubic.v1.msgpack";

/** First element of a request; its reply carries it with bit 0x40 set. */
export const RequestType = {
  CHALLENGE: 1,
  LOGIN: 2,
  RESUME: 3,
  LOGOUT: 4,
  REFRESH: 5,
  SERVICE: 6,
  SUBSCRIBE: 16,
  UNSUBSCRIBE: 17,
  TRUST_GET: 18,
  VERIFY: 19,
  DECISION_GET: 20,
  QUOTE_OPEN: 32,
  QUOTE_CLOSE: 33,
  PAY: 34,
  PAYMENT_GET: 35,
  PAY_PREPARE: 36,
  SPEND_GET: 37,
  PING: 48,
  ACK: 49,
  TRUST_SET: 56,
  KEYS_LIST: 57,
  KEYS_REVOKE: 58,
  SESSIONS_LIST: 59,
  DRAIN: 60,
} as const;
export type RequestType = (typeof RequestType)[keyof typeof RequestType];

/** First element of a push. */
export const PushType = {
  CHALLENGE: 128,
  TRUST_CHANGED: 144,
  CHECKPOINT: 145,
  GAP: 146,
  GOAWAY: 159,
  QUOTE: 160,
  PAYMENT_STATUS: 161,
  PAY_RESIGN: 162,
} as const;
export type PushType = (typeof PushType)[keyof typeof PushType];

/** What is known of a wallet. */
export const TrustStatus = {
  UNKNOWN: 0,
  ACTIVE: 1,
  BLOCKED: 2,
} as const;
export type TrustStatus = (typeof TrustStatus)[keyof typeof TrustStatus];

/** Why a status stands. A chain record's own reason is a u16; the hub's lie above it. */
export const TrustReason = {
  NONE: 0,
  NOT_LISTED: 65536,
  UNAVAILABLE: 65537,
  BLOCKED_BY_APP: 65538,
} as const;
export type TrustReason = (typeof TrustReason)[keyof typeof TrustReason];

/** Where an answer came from. */
export const TrustTier = {
  NONE: 0,
  L1: 1,
  L2: 2,
  L3: 3,
} as const;
export type TrustTier = (typeof TrustTier)[keyof typeof TrustTier];

/** Who caused a trust change. */
export const Initiator = {
  SYSTEM: 0,
  ADMIN: 1,
  CHAIN: 2,
} as const;
export type Initiator = (typeof Initiator)[keyof typeof Initiator];

/** How far an admin's change has come. */
export const TrustChangeState = {
  PENDING: 0,
  ON_CHAIN: 1,
  WITHDRAWN: 2,
} as const;
export type TrustChangeState = (typeof TrustChangeState)[keyof typeof TrustChangeState];

/** How a login was signed. */
export const Scheme = {
  WC: 1,
  K12: 2,
  RAW: 3,
  KEY: 4,
} as const;
export type Scheme = (typeof Scheme)[keyof typeof Scheme];

/** What an intent wants most. */
export const Priority = {
  SPEED: 0,
  COST: 1,
  PRIVACY: 2,
  RELIABILITY: 3,
} as const;
export type Priority = (typeof Priority)[keyof typeof Priority];

/** What an intent's timeout_ms limits. */
export const DeadlineOf = {
  ACCEPTED: 0,
  SETTLED: 1,
} as const;
export type DeadlineOf = (typeof DeadlineOf)[keyof typeof DeadlineOf];

/** How far a payment has come. The one table of states that clients see. */
export const PaymentState = {
  ACCEPTED: 0,
  BROADCAST: 1,
  INCLUDED: 2,
  SETTLED: 3,
  NOT_MOVED: 4,
  MISSED: 5,
  REJECTED: 6,
  EXPIRED: 7,
  UNKNOWN: 8,
} as const;
export type PaymentState = (typeof PaymentState)[keyof typeof PaymentState];

/** Who stands for an accepted payment before the chain does. */
export const PaymentLevel = {
  NONE: 0,
  GUARANTEED: 1,
  CHANNEL: 2,
} as const;
export type PaymentLevel = (typeof PaymentLevel)[keyof typeof PaymentLevel];

/** What a pay.prepare starts from. */
export const PrepareKind = {
  QUOTE: 1,
  INTENT: 2,
  AGAIN: 3,
} as const;
export type PrepareKind = (typeof PrepareKind)[keyof typeof PrepareKind];

/** Why a payment wants a new signature. */
export const ResignReason = {
  TICK_WITHOUT_IT: 0,
  TICK_EMPTY: 1,
} as const;
export type ResignReason = (typeof ResignReason)[keyof typeof ResignReason];

/** What becomes of one subscription of a resumed session. */
export const ResumeOutcome = {
  CAUGHT_UP: 0,
  REPLAYING: 1,
  GAP: 2,
} as const;
export type ResumeOutcome = (typeof ResumeOutcome)[keyof typeof ResumeOutcome];

/** Why a stream has a hole before its next snapshot. */
export const GapCause = {
  QUEUE: 0,
  EPOCH: 1,
  TRIMMED: 2,
} as const;
export type GapCause = (typeof GapCause)[keyof typeof GapCause];

/** Why the hub asks a client to connect elsewhere. */
export const GoawayCause = {
  DRAINING: 0,
} as const;
export type GoawayCause = (typeof GoawayCause)[keyof typeof GoawayCause];

/** The payment states after which nothing can follow. */
export const TERMINAL_STATES: ReadonlySet<number> = new Set([3, 4, 6, 7]);

/** Why a request was refused. The session itself goes on. */
export const ErrorCode = {
  INTERNAL: 100,
  NOT_AUTHENTICATED: 101,
  FORBIDDEN_SCOPE: 102,
  BAD_MESSAGE: 103,
  UNKNOWN_TYPE: 104,
  TOO_LARGE: 105,
  RATE_LIMITED: 106,
  OVERLOADED: 107,
  BACKBONE_UNAVAILABLE: 108,
  CHALLENGE_EXPIRED: 200,
  NONCE_UNKNOWN_OR_USED: 201,
  DOMAIN_MISMATCH: 202,
  BAD_SIGNATURE: 204,
  UNSUPPORTED_SCHEME: 205,
  WALLET_BLOCKED: 206,
  CLOCK_SKEW: 207,
  RESUME_UNKNOWN: 208,
  RESUME_REUSED: 209,
  RESUME_EXPIRED: 210,
  KEY_LIMIT: 211,
  SUB_LIMIT: 220,
  UNKNOWN_CHANNEL: 221,
  POSITION_UNRECOVERABLE: 222,
  NO_ROUTE: 300,
  QUOTE_EXPIRED: 301,
  FEE_ABOVE_MAX: 302,
  IDEMPOTENCY_CONFLICT: 303,
  TRUST_TOO_LOW: 304,
  TRUST_STALE: 305,
  TARGET_TICK_PASSED: 306,
  TX_REJECTED: 307,
  INSUFFICIENT_BALANCE: 308,
  ROUTE_NOT_EXECUTABLE: 309,
  OUTCOME_UNKNOWN: 310,
  SPEND_LIMIT: 311,
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** Why a request was refused: its name, whether the same request may succeed later, and what to do. */
export const ERRORS: Readonly<Record<ErrorCode, ErrorEntry>> = {
  100: { name: "internal", retryable: true, advice: "The hub failed; try again, and report it if it stays." },
  101: { name: "not_authenticated", retryable: false, advice: "Log in first." },
  102: { name: "forbidden_scope", retryable: false, advice: "Log in with the scope that this request needs." },
  103: { name: "bad_message", retryable: false, advice: "The body has the wrong form; mend the client." },
  104: { name: "unknown_type", retryable: false, advice: "This hub does not serve that request." },
  105: { name: "too_large", retryable: false, advice: "Send fewer or smaller items; the limits are in the challenge." },
  106: { name: "rate_limited", retryable: true, advice: "Wait for retry_after_ms, then go slower." },
  107: { name: "overloaded", retryable: true, advice: "Wait for retry_after_ms, then try again." },
  108: { name: "backbone_unavailable", retryable: true, advice: "The hub can't vouch for its data now; try again." },
  200: { name: "challenge_expired", retryable: false, advice: "Ask for a new challenge and sign that." },
  201: { name: "nonce_unknown_or_used", retryable: false, advice: "Ask for a new challenge and sign that." },
  202: { name: "domain_mismatch", retryable: false, advice: "The domain is not one that this hub or key serves." },
  204: { name: "bad_signature", retryable: false, advice: "The signature is not this wallet's over this text; ask the user." },
  205: { name: "unsupported_scheme", retryable: false, advice: "Sign with one of the schemes wc, k12, raw." },
  206: { name: "wallet_blocked", retryable: false, advice: "The wallet is blocked; only its administrator can change that." },
  207: { name: "clock_skew", retryable: false, advice: "Set the clock of the client; at most 30 s off are taken." },
  208: { name: "resume_unknown", retryable: false, advice: "Log in again." },
  209: { name: "resume_reused", retryable: false, advice: "Log in again; someone else may have used the token." },
  210: { name: "resume_expired", retryable: false, advice: "Log in again." },
  211: { name: "key_limit", retryable: false, advice: "Revoke a key of this wallet, or log in without until." },
  220: { name: "sub_limit", retryable: false, advice: "Unsubscribe from something first." },
  221: { name: "unknown_channel", retryable: false, advice: "Subscribe to a channel that exists." },
  222: { name: "position_unrecoverable", retryable: false, advice: "Subscribe without a position and take the snapshot." },
  300: { name: "no_route", retryable: false, advice: "No route keeps the bounds; the detail names the one that blocks." },
  301: { name: "quote_expired", retryable: false, advice: "Ask for a new quote." },
  302: { name: "fee_above_max", retryable: false, advice: "Raise max_fee or wait for a cheaper route." },
  303: { name: "idempotency_conflict", retryable: false, advice: "That key belongs to another payment or attempt." },
  304: { name: "trust_too_low", retryable: false, advice: "The payer's trust score is too low for this amount." },
  305: { name: "trust_stale", retryable: true, advice: "The payer's trust could not be read freshly; try again." },
  306: { name: "target_tick_passed", retryable: false, advice: "Prepare again and sign for the new tick." },
  307: { name: "tx_rejected", retryable: false, advice: "The transaction is not the one agreed; prepare again." },
  308: { name: "insufficient_balance", retryable: false, advice: "The balance less what is held does not cover the amount." },
  309: { name: "route_not_executable", retryable: false, advice: "Choose a route whose quote says executable." },
  310: { name: "outcome_unknown", retryable: false, advice: "Ask payment.get for the outcome; never send again." },
  311: { name: "spend_limit", retryable: false, advice: "Pay from the wallet, or have it sign for more or for longer." },
};

/** Why the hub closes a connection. 4000-4499: come back. 4500-4999: don't. */
export const CloseCode = {
  DRAINING: 4000,
  IDLE: 4001,
  SLOW_CONSUMER: 4002,
  POSITION_LOST: 4003,
  OVERLOADED: 4004,
  SESSION_EXPIRED: 4005,
  AUTH_TIMEOUT: 4006,
  NO_PONG: 4007,
  RATE_LIMITED: 4008,
  PROTOCOL_ERROR: 4500,
  UNSUPPORTED_VERSION: 4501,
  AUTH_FAILED: 4502,
  WALLET_BLOCKED: 4503,
  SESSION_REVOKED: 4504,
  RESUME_REUSED: 4505,
  ORIGIN_FORBIDDEN: 4506,
  BANNED: 4507,
  SUPERSEDED: 4508,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** Why the hub closes: its name, whether to come back, and what to do. */
export const CLOSES: Readonly<Record<CloseCode, CloseEntry>> = {
  4000: { name: "draining", reconnect: true, advice: "Reconnect after a random pause." },
  4001: { name: "idle", reconnect: true, advice: "Reconnect when there is something to do." },
  4002: { name: "slow_consumer", reconnect: true, advice: "Reconnect, ask for the state again, and read faster." },
  4003: { name: "position_lost", reconnect: true, advice: "Reconnect and subscribe without a position." },
  4004: { name: "overloaded", reconnect: true, advice: "Reconnect after the retry time in the reason." },
  4005: { name: "session_expired", reconnect: true, advice: "Reconnect and log in again." },
  4006: { name: "auth_timeout", reconnect: true, advice: "Reconnect; log in before the challenge expires." },
  4007: { name: "no_pong", reconnect: true, advice: "Reconnect; the network or the client stood still." },
  4008: { name: "rate_limited", reconnect: true, advice: "Reconnect after the retry time in the reason, and go slower." },
  4500: { name: "protocol_error", reconnect: false, advice: "A bug in the client; report it." },
  4501: { name: "unsupported_version", reconnect: false, advice: "Update the client." },
  4502: { name: "auth_failed", reconnect: false, advice: "The signature doesn't match the identity; ask the user." },
  4503: { name: "wallet_blocked", reconnect: false, advice: "The wallet is blocked; only its administrator can change that." },
  4504: { name: "session_revoked", reconnect: false, advice: "Log in again with the wallet." },
  4505: { name: "resume_reused", reconnect: false, advice: "Log in again; someone else may have used the token." },
  4506: { name: "origin_forbidden", reconnect: false, advice: "Serve the page from an allowed origin." },
  4507: { name: "banned", reconnect: false, advice: "Ask the operator." },
  4508: { name: "superseded", reconnect: false, advice: "Another connection resumed this session." },
};

export interface ErrorEntry {
  readonly name: string;
  readonly retryable: boolean;
  readonly advice: string;
}

export interface CloseEntry {
  readonly name: string;
  readonly reconnect: boolean;
  readonly advice: string;
}
