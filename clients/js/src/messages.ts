// Made by scripts/generate_tables.py from protocol/realtime_protocol. Don't edit.

import {
  anything, bool, bytes, either, facts, list, oneOf, optional, struct, text, uint,
  type Facts, type Shape,
} from "./shapes.js";
import {
  RequestType, PushType, TrustStatus, TrustTier, Initiator, TrustChangeState, Scheme,
  Priority, DeadlineOf, PaymentState, PaymentLevel, PrepareKind, ResignReason, ResumeOutcome,
  GapCause, GoawayCause,
} from "./tables.js";

/** What is known of one wallet, from where, how old, and until when it may be used. */
export interface Trust {
  status: TrustStatus;
  score: number;
  seq: number;
  reason: number;
  tier: TrustTier;
  ageMs: number;
  useUntilMs: number;
}
export const TRUST: Shape<Trust> = struct(
  "Trust",
  {
    status: oneOf(TrustStatus),
    score: uint(0, 100),
    seq: uint(0, 9007199254740991),
    reason: uint(0, 9007199254740991),
    tier: oneOf(TrustTier),
    ageMs: uint(0, 9007199254740991),
    useUntilMs: uint(0, 9007199254740991),
  },
);

/** One wallet's entry in a snapshot. */
export interface WalletTrust {
  wallet: Uint8Array;
  trust: Trust;
}
export const WALLET_TRUST: Shape<WalletTrust> = struct(
  "WalletTrust",
  {
    wallet: bytes(32, 32),
    trust: TRUST,
  },
);

/** A place in a stream: offset and epoch are one value. */
export interface Position {
  epoch: Uint8Array;
  offset: number;
}
export const POSITION: Shape<Position> = struct(
  "Position",
  {
    epoch: bytes(8, 8),
    offset: uint(0, 9007199254740991),
  },
);

/** The newest position of one subscription. */
export interface Head {
  sub: number;
  epoch: Uint8Array;
  head: number;
}
export const HEAD: Shape<Head> = struct(
  "Head",
  {
    sub: uint(0, 4294967295),
    epoch: bytes(8, 8),
    head: uint(0, 9007199254740991),
  },
);

/** A wish to pay, in its final shape. */
export interface Intent {
  source: Uint8Array;
  destination: Uint8Array;
  amountQu: number;
  priority: Priority;
  maxFeeQu: number;
  timeoutMs: number;
  deadlineOf: DeadlineOf;
  minReliabilityPpm: number | null;
  exclude: string[];
  maxHops: number | null;
}
export const INTENT: Shape<Intent> = struct(
  "Intent",
  {
    source: bytes(32, 32),
    destination: bytes(32, 32),
    amountQu: uint(1, 200000000000000),
    priority: oneOf(Priority),
    maxFeeQu: uint(0, 200000000000000),
    timeoutMs: uint(1, 600000),
    deadlineOf: oneOf(DeadlineOf),
    minReliabilityPpm: optional(uint(0, 1000000)),
    exclude: list(text(256), 0, 64),
    maxHops: optional(uint(1, 16)),
  },
  { deadlineOf: 0, minReliabilityPpm: null, exclude: [], maxHops: null },
);

/** A way for a payment: its hops run from the payer to the payee. */
export interface Route {
  routeId: string;
  kind: string;
  hops: Uint8Array[];
}
export const ROUTE: Shape<Route> = struct(
  "Route",
  {
    routeId: text(256),
    kind: text(256),
    hops: list(bytes(32, 32), 0, 18),
  },
);

/** A route that was not chosen, with what it would cost. */
export interface Alternative {
  route: Route;
  feeQu: number;
  estMs: number;
  executable: boolean;
}
export const ALTERNATIVE: Shape<Alternative> = struct(
  "Alternative",
  {
    route: ROUTE,
    feeQu: uint(0, 200000000000000),
    estMs: uint(0, 9007199254740991),
    executable: bool,
  },
);

/** Ask for a challenge to sign, with the time that the signing may take. */
export interface ChallengeRequest {
  ttlMs: number;
}
export const CHALLENGE_REQUEST: Shape<ChallengeRequest> = struct(
  "ChallengeRequest",
  {
    ttlMs: uint(1000, 300000),
  },
);

/** What the login text is built from; also the hub's limits and its clock. */
export interface Challenge {
  nonce: string;
  issuedMs: number;
  expiresMs: number;
  domain: string;
  uri: string;
  chain: string;
  requestId: string;
  serverMs: number;
  limits: Facts;
  hubEpoch: Uint8Array;
}
export const CHALLENGE: Shape<Challenge> = struct(
  "Challenge",
  {
    nonce: text(256),
    issuedMs: uint(0, 9007199254740991),
    expiresMs: uint(0, 9007199254740991),
    domain: text(256),
    uri: text(256),
    chain: text(256),
    requestId: text(256),
    serverMs: uint(0, 9007199254740991),
    limits: facts(32),
    hubEpoch: bytes(8, 8),
  },
);

/** Proof that a wallet signed the login text of the current challenge. */
export interface LoginRequest {
  scheme: Scheme;
  wallet: Uint8Array;
  signature: Uint8Array;
  resources: string[];
}
export const LOGIN_REQUEST: Shape<LoginRequest> = struct(
  "LoginRequest",
  {
    scheme: oneOf(Scheme),
    wallet: bytes(32, 32),
    signature: bytes(64, 64),
    resources: list(text(256), 0, 8),
  },
);

/** An open session. An empty resume_token with ttl 0 means that this hub can't resume it. */
export interface LoginReply {
  sid: string;
  resumeToken: Uint8Array;
  resumeTtlMs: number;
  sessionExpMs: number;
  trust: Trust | null;
  scopes: string[];
}
export const LOGIN_REPLY: Shape<LoginReply> = struct(
  "LoginReply",
  {
    sid: text(256),
    resumeToken: bytes(0, 32),
    resumeTtlMs: uint(0, 9007199254740991),
    sessionExpMs: uint(0, 9007199254740991),
    trust: optional(TRUST),
    scopes: list(text(256), 0, 16),
  },
);

/** A subscription as the client knows it: its number, its channel, up to where it has read. */
export interface ResumeSub {
  sub: number;
  channel: string;
  epoch: Uint8Array;
  offset: number;
  wallets: Uint8Array[] | null;
}
export const RESUME_SUB: Shape<ResumeSub> = struct(
  "ResumeSub",
  {
    sub: uint(1, 2147483647),
    channel: text(256),
    epoch: bytes(8, 8),
    offset: uint(0, 9007199254740991),
    wallets: optional(list(bytes(32, 32), 0, 256)),
  },
  { wallets: null },
);

/** Take a session up again: its token, and the session key's signature for this connection. */
export interface ResumeRequest {
  token: Uint8Array;
  proof: Uint8Array;
  subs: ResumeSub[];
}
export const RESUME_REQUEST: Shape<ResumeRequest> = struct(
  "ResumeRequest",
  {
    token: bytes(32, 32),
    proof: bytes(64, 64),
    subs: list(RESUME_SUB, 0, 64),
  },
);

/** What becomes of a subscription. One that isn't listed must be subscribed to anew. */
export interface ResumedSub {
  sub: number;
  outcome: ResumeOutcome;
  epoch: Uint8Array;
  head: number;
}
export const RESUMED_SUB: Shape<ResumedSub> = struct(
  "ResumedSub",
  {
    sub: uint(0, 4294967295),
    outcome: oneOf(ResumeOutcome),
    epoch: bytes(8, 8),
    head: uint(0, 9007199254740991),
  },
);

/** The session goes on; the old token is used up. */
export interface ResumeReply {
  sid: string;
  resumeToken: Uint8Array;
  trust: Trust | null;
  subs: ResumedSub[];
}
export const RESUME_REPLY: Shape<ResumeReply> = struct(
  "ResumeReply",
  {
    sid: text(256),
    resumeToken: bytes(32, 32),
    trust: optional(TRUST),
    subs: list(RESUMED_SUB, 0, 64),
  },
);

/** Log a backend in, by an API key of its app; the reply is a login's, without trust. */
export interface ServiceRequest {
  apiKey: string;
}
export const SERVICE_REQUEST: Shape<ServiceRequest> = struct(
  "ServiceRequest",
  {
    apiKey: text(128),
  },
);

/** End this session, or all of this wallet's. */
export interface LogoutRequest {
  everywhere: boolean;
}
export const LOGOUT_REQUEST: Shape<LogoutRequest> = struct(
  "LogoutRequest",
  {
    everywhere: bool,
  },
);

/** A reply that says only that it was done. */
export interface Empty {
}
export const EMPTY: Shape<Empty> = struct(
  "Empty",
  {
  },
);

/** Ask for a channel from a position, or from now with a snapshot. */
export interface SubscribeRequest {
  channel: string;
  position: Position | null;
  wallets: Uint8Array[] | null;
}
export const SUBSCRIBE_REQUEST: Shape<SubscribeRequest> = struct(
  "SubscribeRequest",
  {
    channel: text(256),
    position: optional(POSITION),
    wallets: optional(list(bytes(32, 32), 0, 256)),
  },
  { position: null, wallets: null },
);

/** Where a payment stands; state_seq grows by one with each change of it. */
export interface PaymentStatus {
  paymentId: Uint8Array;
  stateSeq: number;
  state: PaymentState;
  tick: number;
  txid: Uint8Array;
  level: PaymentLevel;
  detail: Facts | null;
}
export const PAYMENT_STATUS: Shape<PaymentStatus> = struct(
  "PaymentStatus",
  {
    paymentId: bytes(16, 16),
    stateSeq: uint(0, 9007199254740991),
    state: oneOf(PaymentState),
    tick: uint(0, 4294967295),
    txid: bytes(32, 32),
    level: oneOf(PaymentLevel),
    detail: optional(facts(32)),
  },
  { detail: null },
);

/** The subscription, its head, and the state at that head where the channel has one. */
export interface SubscribeReply {
  sub: number;
  epoch: Uint8Array;
  head: number;
  snapshot: unknown[] | null;
  recovered: boolean;
}
export const SUBSCRIBE_REPLY: Shape<SubscribeReply> = struct(
  "SubscribeReply",
  {
    sub: uint(0, 4294967295),
    epoch: bytes(8, 8),
    head: uint(0, 9007199254740991),
    snapshot: optional(list(anything)),
    recovered: bool,
  },
);

/** End a subscription. */
export interface UnsubscribeRequest {
  sub: number;
}
export const UNSUBSCRIBE_REQUEST: Shape<UnsubscribeRequest> = struct(
  "UnsubscribeRequest",
  {
    sub: uint(0, 4294967295),
  },
);

/** A text that a wallet is said to have signed under one of the wallets' schemes. */
export interface SignedText {
  wallet: Uint8Array;
  scheme: Scheme;
  message: Uint8Array;
  signature: Uint8Array;
}
export const SIGNED_TEXT: Shape<SignedText> = struct(
  "SignedText",
  {
    wallet: bytes(32, 32),
    scheme: oneOf(Scheme),
    message: bytes(0, 8192),
    signature: bytes(64, 64),
  },
);

/** Whether that wallet signed that text, and what is known of the wallet. */
export interface Verdict {
  valid: boolean;
  trust: Trust;
}
export const VERDICT: Shape<Verdict> = struct(
  "Verdict",
  {
    valid: bool,
    trust: TRUST,
  },
);

/** Sign what is known of this session's wallet, for *audience*, in answer to *nonce* if any. */
export interface DecisionRequest {
  audience: string;
  nonce: string | null;
}
export const DECISION_REQUEST: Shape<DecisionRequest> = struct(
  "DecisionRequest",
  {
    audience: text(256),
    nonce: optional(text(256)),
  },
  { nonce: null },
);

/** A signed decision; it names the session's key, if the login had one. */
export interface DecisionReply {
  decision: Uint8Array;
}
export const DECISION_REPLY: Shape<DecisionReply> = struct(
  "DecisionReply",
  {
    decision: bytes(65, 255),
  },
);

/** Ask for a stream of quotes. */
export interface QuoteOpenRequest {
  intent: Intent;
}
export const QUOTE_OPEN_REQUEST: Shape<QuoteOpenRequest> = struct(
  "QuoteOpenRequest",
  {
    intent: INTENT,
  },
);

/** The subscription on which the quotes come. */
export interface QuoteOpenReply {
  sub: number;
}
export const QUOTE_OPEN_REPLY: Shape<QuoteOpenReply> = struct(
  "QuoteOpenReply",
  {
    sub: uint(0, 4294967295),
  },
);

/** End a quote stream. */
export interface QuoteCloseRequest {
  sub: number;
}
export const QUOTE_CLOSE_REQUEST: Shape<QuoteCloseRequest> = struct(
  "QuoteCloseRequest",
  {
    sub: uint(0, 4294967295),
  },
);

/** Ask for the unsigned transaction of a quote, an intent, or a further attempt. */
export interface PrepareRequest {
  kind: PrepareKind;
  quoteId: Uint8Array | null;
  of: Intent | Uint8Array | null;
  signWithinMs: number;
}
export const PREPARE_REQUEST: Shape<PrepareRequest> = struct(
  "PrepareRequest",
  {
    kind: oneOf(PrepareKind),
    quoteId: optional(bytes(16, 16)),
    of: optional(either(INTENT, bytes(16, 16))),
    signWithinMs: uint(0, 300000),
  },
);

/** What to check and then sign: the transaction without its signature. */
export interface PrepareReply {
  unsignedTx: Uint8Array;
  tick: number;
  quoteId: Uint8Array;
  attempt: number;
}
export const PREPARE_REPLY: Shape<PrepareReply> = struct(
  "PrepareReply",
  {
    unsignedTx: bytes(80, 1168),
    tick: uint(0, 4294967295),
    quoteId: bytes(16, 16),
    attempt: uint(0, 255),
  },
);

/** Hand over a signed transaction. The idempotency key is the client's. */
export interface PayRequest {
  idem: Uint8Array;
  quoteId: Uint8Array;
  signedTx: Uint8Array;
  attempt: number;
}
export const PAY_REQUEST: Shape<PayRequest> = struct(
  "PayRequest",
  {
    idem: bytes(16, 16),
    quoteId: bytes(16, 16),
    signedTx: bytes(80, 1168),
    attempt: uint(0, 255),
  },
);

/** The payment, durable from now on. */
export interface PayReply {
  paymentId: Uint8Array;
  state: PaymentState;
  attempt: number;
}
export const PAY_REPLY: Shape<PayReply> = struct(
  "PayReply",
  {
    paymentId: bytes(16, 16),
    state: oneOf(PaymentState),
    attempt: uint(0, 255),
  },
);

/** Ask where a payment stands. */
export interface PaymentGetRequest {
  paymentId: Uint8Array;
}
export const PAYMENT_GET_REQUEST: Shape<PaymentGetRequest> = struct(
  "PaymentGetRequest",
  {
    paymentId: bytes(16, 16),
  },
);

/** A wallet that a key may spend from: up to so much in all, and until when. */
export interface SpendTerms {
  wallet: Uint8Array;
  maxQu: number;
  untilMs: number;
}
export const SPEND_TERMS: Shape<SpendTerms> = struct(
  "SpendTerms",
  {
    wallet: bytes(32, 32),
    maxQu: uint(1, 200000000000000),
    untilMs: uint(0, 9007199254740991),
  },
);

/** An Ed25519 key that may log in for the wallet. *domain* is the app's. */
export interface GrantedKey {
  key: Uint8Array;
  scopes: string[];
  untilMs: number;
  domain: string;
  createdMs: number;
  lastUsedMs: number;
  spends: SpendTerms[];
}
export const GRANTED_KEY: Shape<GrantedKey> = struct(
  "GrantedKey",
  {
    key: bytes(32, 32),
    scopes: list(text(256), 0, 16),
    untilMs: uint(0, 9007199254740991),
    domain: text(256),
    createdMs: uint(0, 9007199254740991),
    lastUsedMs: uint(0, 9007199254740991),
    spends: list(SPEND_TERMS, 0, 8),
  },
);

/** Ask which keys may log in for this session's wallet. */
export interface KeysListRequest {
}
export const KEYS_LIST_REQUEST: Shape<KeysListRequest> = struct(
  "KeysListRequest",
  {
  },
);

/** The living grants, the oldest first; to a session that a key opened, its own only. */
export interface KeysListReply {
  keys: GrantedKey[];
}
export const KEYS_LIST_REPLY: Shape<KeysListReply> = struct(
  "KeysListReply",
  {
    keys: list(GRANTED_KEY, 0, 64),
  },
);

/** Let a key log in no more, or, without one, none: their sessions end on every hub. */
export interface KeysRevokeRequest {
  key: Uint8Array | null;
}
export const KEYS_REVOKE_REQUEST: Shape<KeysRevokeRequest> = struct(
  "KeysRevokeRequest",
  {
    key: optional(bytes(32, 32)),
  },
  { key: null },
);

/** How many grants that ended. */
export interface KeysRevokeReply {
  revoked: number;
}
export const KEYS_REVOKE_REPLY: Shape<KeysRevokeReply> = struct(
  "KeysRevokeReply",
  {
    revoked: uint(0, 9007199254740991),
  },
);

/** Ask what may still be spent from a wallet that this session's key may spend from. */
export interface SpendGetRequest {
  wallet: Uint8Array;
}
export const SPEND_GET_REQUEST: Shape<SpendGetRequest> = struct(
  "SpendGetRequest",
  {
    wallet: bytes(32, 32),
  },
);

/** The terms that were signed, what was spent of them, and what the wallet holds. */
export interface SpendGetReply {
  maxQu: number;
  untilMs: number;
  spentQu: number;
  balanceQu: number;
  heldQu: number;
  tick: number;
}
export const SPEND_GET_REPLY: Shape<SpendGetReply> = struct(
  "SpendGetReply",
  {
    maxQu: uint(1, 200000000000000),
    untilMs: uint(0, 9007199254740991),
    spentQu: uint(0, 9007199254740991),
    balanceQu: uint(0, 9007199254740991),
    heldQu: uint(0, 9007199254740991),
    tick: uint(0, 4294967295),
  },
);

/** Ask for a sign of life. */
export interface PingRequest {
  clientMs: number;
}
export const PING_REQUEST: Shape<PingRequest> = struct(
  "PingRequest",
  {
    clientMs: uint(0, 9007199254740991),
  },
);

/** Everything of a subscription up to *offset* has been dealt with. It gets no reply. */
export interface AckRequest {
  sub: number;
  offset: number;
}
export const ACK_REQUEST: Shape<AckRequest> = struct(
  "AckRequest",
  {
    sub: uint(0, 4294967295),
    offset: uint(0, 9007199254740991),
  },
);

/** The hub's clock, heads and health. */
export interface PingReply {
  clientMs: number;
  serverMs: number;
  heads: Head[];
  backboneOk: boolean;
}
export const PING_REPLY: Shape<PingReply> = struct(
  "PingReply",
  {
    clientMs: uint(0, 9007199254740991),
    serverMs: uint(0, 9007199254740991),
    heads: list(HEAD),
    backboneOk: bool,
  },
);

/** An administrator's signed transaction to the TurboAuth contract. */
export interface TrustSetRequest {
  signedTx: Uint8Array;
}
export const TRUST_SET_REQUEST: Shape<TrustSetRequest> = struct(
  "TrustSetRequest",
  {
    signedTx: bytes(80, 1168),
  },
);

/** Its place in the log (0 when it only takes effect on chain) and its state. */
export interface TrustSetReply {
  logSeq: number;
  state: TrustChangeState;
}
export const TRUST_SET_REPLY: Shape<TrustSetReply> = struct(
  "TrustSetReply",
  {
    logSeq: uint(0, 9007199254740991),
    state: oneOf(TrustChangeState),
  },
);

/** Ask for sessions of the process that answers, in the order of their ids. */
export interface SessionsListRequest {
  after: string;
  limit: number;
}
export const SESSIONS_LIST_REQUEST: Shape<SessionsListRequest> = struct(
  "SessionsListRequest",
  {
    after: text(256),
    limit: uint(1, 128),
  },
);

/** A session as an administrator sees it; the wallet of a backend is 32 zero bytes. */
export interface ListedSession {
  sid: string;
  wallet: Uint8Array;
  ageMs: number;
  queuedBytes: number;
  subscriptions: number;
  quotes: number;
}
export const LISTED_SESSION: Shape<ListedSession> = struct(
  "ListedSession",
  {
    sid: text(256),
    wallet: bytes(32, 32),
    ageMs: uint(0, 9007199254740991),
    queuedBytes: uint(0, 9007199254740991),
    subscriptions: uint(0, 9007199254740991),
    quotes: uint(0, 9007199254740991),
  },
);

/** A page of sessions; after is None with the last. */
export interface SessionsListReply {
  sessions: ListedSession[];
  after: string | null;
}
export const SESSIONS_LIST_REPLY: Shape<SessionsListReply> = struct(
  "SessionsListReply",
  {
    sessions: list(LISTED_SESSION, 0, 128),
    after: optional(text(256)),
  },
);

/** A wallet's trust changed; the push's offset is the log's sequence. */
export interface TrustChanged {
  wallet: Uint8Array;
  status: TrustStatus;
  score: number;
  reason: number;
  initiator: Initiator;
  eventMs: number;
  useUntilMs: number;
  pending: boolean;
}
export const TRUST_CHANGED: Shape<TrustChanged> = struct(
  "TrustChanged",
  {
    wallet: bytes(32, 32),
    status: oneOf(TrustStatus),
    score: uint(0, 100),
    reason: uint(0, 9007199254740991),
    initiator: oneOf(Initiator),
    eventMs: uint(0, 9007199254740991),
    useUntilMs: uint(0, 9007199254740991),
    pending: bool,
  },
);

/** Nothing at or below these heads remains unsent. */
export interface Checkpoint {
  heads: Head[];
  serverMs: number;
  backboneOk: boolean;
}
export const CHECKPOINT: Shape<Checkpoint> = struct(
  "Checkpoint",
  {
    heads: list(HEAD),
    serverMs: uint(0, 9007199254740991),
    backboneOk: bool,
  },
);

/** Positions that can't be had; a snapshot follows. */
export interface Gap {
  sub: number;
  first: number;
  last: number;
  cause: GapCause;
}
export const GAP: Shape<Gap> = struct(
  "Gap",
  {
    sub: uint(0, 4294967295),
    first: uint(0, 9007199254740991),
    last: uint(0, 9007199254740991),
    cause: oneOf(GapCause),
  },
);

/** Connect elsewhere after a uniform pause in this range. */
export interface Goaway {
  minMs: number;
  maxMs: number;
  cause: GoawayCause;
  resumeOk: boolean;
}
export const GOAWAY: Shape<Goaway> = struct(
  "Goaway",
  {
    minMs: uint(0, 9007199254740991),
    maxMs: uint(0, 9007199254740991),
    cause: oneOf(GoawayCause),
    resumeOk: bool,
  },
);

/** The best route now; replaces the quote before it. No route: None, not executable. */
export interface Quote {
  quoteId: Uint8Array;
  graphVersion: number;
  route: Route | null;
  alternatives: Alternative[];
  feeQu: number;
  estMs: number;
  validUntilTick: number;
  executable: boolean;
  partial: boolean;
  hubSignature: Uint8Array | null;
}
export const QUOTE: Shape<Quote> = struct(
  "Quote",
  {
    quoteId: bytes(16, 16),
    graphVersion: uint(0, 9007199254740991),
    route: optional(ROUTE),
    alternatives: list(ALTERNATIVE, 0, 16),
    feeQu: uint(0, 200000000000000),
    estMs: uint(0, 9007199254740991),
    validUntilTick: uint(0, 4294967295),
    executable: bool,
    partial: bool,
    hubSignature: optional(bytes(64, 64)),
  },
);

/** The last attempt is proven dead: prepare and sign again before the deadline. */
export interface PayResign {
  paymentId: Uint8Array;
  reason: ResignReason;
  deadlineMs: number;
}
export const PAY_RESIGN: Shape<PayResign> = struct(
  "PayResign",
  {
    paymentId: bytes(16, 16),
    reason: oneOf(ResignReason),
    deadlineMs: uint(0, 9007199254740991),
  },
);

/** Why a request was refused. */
export interface ErrorBody {
  code: number;
  retryAfterMs: number | null;
  detail: Facts | null;
}
export const ERROR_BODY: Shape<ErrorBody> = struct(
  "ErrorBody",
  {
    code: uint(0, 9007199254740991),
    retryAfterMs: optional(uint(0, 9007199254740991)),
    detail: optional(facts(32)),
  },
  { retryAfterMs: null, detail: null },
);

/** Each request this protocol version serves, with its body and its reply's. */
export interface Requests {
  [RequestType.CHALLENGE]: { request: ChallengeRequest; reply: Challenge };
  [RequestType.LOGIN]: { request: LoginRequest; reply: LoginReply };
  [RequestType.RESUME]: { request: ResumeRequest; reply: ResumeReply };
  [RequestType.LOGOUT]: { request: LogoutRequest; reply: Empty };
  [RequestType.REFRESH]: { request: LoginRequest; reply: LoginReply };
  [RequestType.SERVICE]: { request: ServiceRequest; reply: LoginReply };
  [RequestType.SUBSCRIBE]: { request: SubscribeRequest; reply: SubscribeReply };
  [RequestType.UNSUBSCRIBE]: { request: UnsubscribeRequest; reply: Empty };
  [RequestType.TRUST_GET]: { request: Uint8Array[]; reply: Trust[] };
  [RequestType.VERIFY]: { request: SignedText[]; reply: Verdict[] };
  [RequestType.DECISION_GET]: { request: DecisionRequest; reply: DecisionReply };
  [RequestType.QUOTE_OPEN]: { request: QuoteOpenRequest; reply: QuoteOpenReply };
  [RequestType.QUOTE_CLOSE]: { request: QuoteCloseRequest; reply: Empty };
  [RequestType.PAY_PREPARE]: { request: PrepareRequest; reply: PrepareReply };
  [RequestType.PAY]: { request: PayRequest; reply: PayReply };
  [RequestType.PAYMENT_GET]: { request: PaymentGetRequest; reply: PaymentStatus };
  [RequestType.SPEND_GET]: { request: SpendGetRequest; reply: SpendGetReply };
  [RequestType.PING]: { request: PingRequest; reply: PingReply };
  [RequestType.ACK]: { request: AckRequest; reply: Empty };
  [RequestType.TRUST_SET]: { request: TrustSetRequest; reply: TrustSetReply };
  [RequestType.SESSIONS_LIST]: { request: SessionsListRequest; reply: SessionsListReply };
  [RequestType.DRAIN]: { request: Empty; reply: Empty };
  [RequestType.KEYS_LIST]: { request: KeysListRequest; reply: KeysListReply };
  [RequestType.KEYS_REVOKE]: { request: KeysRevokeRequest; reply: KeysRevokeReply };
}

export const REQUESTS: {
  readonly [T in keyof Requests]: {
    readonly request: Shape<Requests[T]["request"]>;
    readonly reply: Shape<Requests[T]["reply"]>;
  };
} = {
  [RequestType.CHALLENGE]: { request: CHALLENGE_REQUEST, reply: CHALLENGE },
  [RequestType.LOGIN]: { request: LOGIN_REQUEST, reply: LOGIN_REPLY },
  [RequestType.RESUME]: { request: RESUME_REQUEST, reply: RESUME_REPLY },
  [RequestType.LOGOUT]: { request: LOGOUT_REQUEST, reply: EMPTY },
  [RequestType.REFRESH]: { request: LOGIN_REQUEST, reply: LOGIN_REPLY },
  [RequestType.SERVICE]: { request: SERVICE_REQUEST, reply: LOGIN_REPLY },
  [RequestType.SUBSCRIBE]: { request: SUBSCRIBE_REQUEST, reply: SUBSCRIBE_REPLY },
  [RequestType.UNSUBSCRIBE]: { request: UNSUBSCRIBE_REQUEST, reply: EMPTY },
  [RequestType.TRUST_GET]: { request: list(bytes(32, 32), 1, 64), reply: list(TRUST) },
  [RequestType.VERIFY]: { request: list(SIGNED_TEXT, 1, 64), reply: list(VERDICT) },
  [RequestType.DECISION_GET]: { request: DECISION_REQUEST, reply: DECISION_REPLY },
  [RequestType.QUOTE_OPEN]: { request: QUOTE_OPEN_REQUEST, reply: QUOTE_OPEN_REPLY },
  [RequestType.QUOTE_CLOSE]: { request: QUOTE_CLOSE_REQUEST, reply: EMPTY },
  [RequestType.PAY_PREPARE]: { request: PREPARE_REQUEST, reply: PREPARE_REPLY },
  [RequestType.PAY]: { request: PAY_REQUEST, reply: PAY_REPLY },
  [RequestType.PAYMENT_GET]: { request: PAYMENT_GET_REQUEST, reply: PAYMENT_STATUS },
  [RequestType.SPEND_GET]: { request: SPEND_GET_REQUEST, reply: SPEND_GET_REPLY },
  [RequestType.PING]: { request: PING_REQUEST, reply: PING_REPLY },
  [RequestType.ACK]: { request: ACK_REQUEST, reply: EMPTY },
  [RequestType.TRUST_SET]: { request: TRUST_SET_REQUEST, reply: TRUST_SET_REPLY },
  [RequestType.SESSIONS_LIST]: { request: SESSIONS_LIST_REQUEST, reply: SESSIONS_LIST_REPLY },
  [RequestType.DRAIN]: { request: EMPTY, reply: EMPTY },
  [RequestType.KEYS_LIST]: { request: KEYS_LIST_REQUEST, reply: KEYS_LIST_REPLY },
  [RequestType.KEYS_REVOKE]: { request: KEYS_REVOKE_REQUEST, reply: KEYS_REVOKE_REPLY },
};

/** Each push, with its body. */
export interface Pushes {
  [PushType.CHALLENGE]: Challenge;
  [PushType.TRUST_CHANGED]: TrustChanged;
  [PushType.CHECKPOINT]: Checkpoint;
  [PushType.GAP]: Gap;
  [PushType.GOAWAY]: Goaway;
  [PushType.QUOTE]: Quote;
  [PushType.PAYMENT_STATUS]: PaymentStatus;
  [PushType.PAY_RESIGN]: PayResign;
}

export const PUSHES: { readonly [T in keyof Pushes]: Shape<Pushes[T]> } = {
  [PushType.CHALLENGE]: CHALLENGE,
  [PushType.TRUST_CHANGED]: TRUST_CHANGED,
  [PushType.CHECKPOINT]: CHECKPOINT,
  [PushType.GAP]: GAP,
  [PushType.GOAWAY]: GOAWAY,
  [PushType.QUOTE]: QUOTE,
  [PushType.PAYMENT_STATUS]: PAYMENT_STATUS,
  [PushType.PAY_RESIGN]: PAY_RESIGN,
};
