/**
 * Realtime sessions for Qubic wallets: log in with a signature, follow trust, quote, pay.
 */

export { toHex } from "./bytes.js";
export {
  DecisionRefused, deviceTimeMs, keyIdOf, parseDecision, supersedes, verifyDecision, weighDecision,
  type Decision, type DecisionKeys, type DecisionRefusal, type Freshness, type Verdict,
} from "./decision.js";
export { Delegate, type DelegateGrant, type DelegateOptions } from "./delegate.js";
export {
  ConnectionClosed, LocalProtocolError, OutcomeUnknown, RealtimeError, Refused,
  RemoteProtocolError, RequestError, SlowReader,
} from "./errors.js";
export { publicKeyOf } from "./identity.js";
export type { PaymentWish } from "./intent.js";
export { buildLoginText, scopeResource, type TextSource } from "./login-text.js";
export type {
  Alternative, Gap, GrantedKey, Intent, LoginReply, PaymentStatus, Quote, Route, SpendGetReply, SpendTerms, Trust,
  TrustChanged,
  WalletTrust,
} from "./messages.js";
export { Keys } from "./keys.js";
export { Payment } from "./payment.js";
export type { PayOptions } from "./payments.js";
export type { PresenceFields } from "./session-key.js";
export { connect, Session, type ConnectOptions, type SessionEvents } from "./session.js";
export type { Facts } from "./shapes.js";
export { Spending, type SpendingOptions } from "./spending.js";
export {
  parseExtensionAnswer, parseMessageAnswer, parseWalletConnectAnswer,
  type Signer, type WalletScheme,
} from "./signer.js";
export {
  CLOSES, CloseCode, DeadlineOf, ERRORS, ErrorCode, PaymentState, Priority, Scheme,
  TrustReason, TrustStatus,
} from "./tables.js";
export { parseUnsigned, type Transaction } from "./transaction.js";
export { TrustReader, TrustSubscription, type TrustEvent } from "./trust.js";
export type { WebSocketClass, WebSocketLike } from "./web-socket.js";
