/** A session: logged in once, and taken up again when the connection is lost. */

import type { PushFrame, RequestKind } from "./codec.js";
import { Connection } from "./connection.js";
import type { Delegate } from "./delegate.js";
import { ConnectionClosed, LocalProtocolError, RealtimeError, RequestError } from "./errors.js";
import { KeepAlive, onWakeUp } from "./keep-alive.js";
import { Keys } from "./keys.js";
import { login, loginAnew, refresh, type LoggedIn, type LoginOptions } from "./login.js";
import type {
  Gap, Goaway, Head, Intent, LoginReply, PaymentStatus, Quote, Requests, ResumeReply, ResumeSub,
  ResumedSub, SpendGetReply,
} from "./messages.js";
import { makeIntent, type PaymentWish } from "./intent.js";
import type { Payment } from "./payment.js";
import { Payments, type PayOptions } from "./payments.js";
import { quotes } from "./quotes.js";
import { pauseMs } from "./reconnect.js";
import { resume, type Ticket } from "./resume.js";
import { parseKeyResource, type PresenceFields } from "./session-key.js";
import { checkSigner, type Signer } from "./signer.js";
import type { Spending } from "./spending.js";
import { CloseCode, PushType, RequestType, ResumeOutcome } from "./tables.js";
import { TrustReader } from "./trust.js";
import { findWebSocket, type WebSocketClass } from "./web-socket.js";

export interface ConnectOptions {
  /** Whom the login is for: default the page's host, outside a browser the hub's. */
  readonly domain?: string;
  /** The chain that the hub must name, such as "mainnet"; default: whichever. */
  readonly chain?: string;
  /** Lines of the login text that ask for less or more than the default; see scopeResource. */
  readonly resources?: readonly string[];
  /** A key that the wallet lets log in: it is asked once, and again when that grant has ended. */
  readonly delegate?: Delegate;
  /** How long the wallet may take to sign; a person with a phone needs up to 300,000. */
  readonly signWithinMs?: number;
  /** How often to try before a lost connection is given up; 0: never come back. Default 10. */
  readonly reconnectAttemptsMax?: number;
  /** How often to ask for a sign of life. Default 15,000. */
  readonly pingIntervalMs?: number;
  readonly connectTimeoutMs?: number;
  /** Another WebSocket than the platform's. */
  readonly webSocket?: WebSocketClass;
  /** Uniform in [0, 1): spreads the pauses between connections. */
  readonly random?: () => number;
}

export interface SessionEvents {
  /** Emitted when the connection was lost and another is tried after `pauseMs`. */
  reconnecting: { readonly why: Error; readonly attempt: number; readonly pauseMs: number };
  /**
   * Emitted when the session goes on where it was, without the wallet. `replaying` subscriptions
   * hear what they missed; of the `gaps` what they missed is lost, and what stands now follows.
   */
  resumed: { readonly caughtUp: number; readonly replaying: number; readonly gaps: number };
  /** Emitted when there is a connection again, resumed or logged in, and subscriptions stand. */
  reconnected: { readonly login: LoginReply; readonly resumed: boolean };
  /** Emitted when a subscription lost changes; what stands now follows on it. */
  gap: { readonly gap: Gap };
  /** Emitted when the session is over; `why` is null after `close()`. */
  closed: { readonly why: Error | null };
}

/** What a session keeps open from connection to connection. */
export interface Subscription {
  /** Subscribe on *connection*, from where it stands. */
  open(connection: Connection): Promise<void>;
  /** Where it stands, to be resumed there; null: it is opened again. */
  row(): ResumeSub | null;
  /** It goes on over *connection*; called before any push behind it. */
  resumed(connection: Connection, sub: ResumedSub): void;
  /** Everything up to this head has come, if it is this subscription's. */
  reached(head: Head): void;
  /** The session is over. */
  fail(error: Error | null): void;
}

const RECONNECT_ATTEMPTS_MAX = 10;
const PING_INTERVAL_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;
const LOGOUT_TIMEOUT_MS = 2_000;
/** Subscriptions that a resume names; those beyond are opened again. */
const RESUMED_MAX = 64;

/** A connection that stands, and what was resumed on it; null after a login. */
interface Opened {
  readonly connection: Connection;
  readonly resumed: Set<Subscription> | null;
}

/**
 * Connect to a hub and log in with *signer*.
 *
 * Rejects with RequestError (the hub refuses the login), Refused (the challenge is not for this
 * place, or the signer contradicts itself) or ConnectionClosed.
 */
export async function connect(
  url: string,
  signer: Signer,
  options: ConnectOptions = {},
): Promise<Session> {
  checkSigner(signer);
  if (options.delegate && options.resources?.some((line) => parseKeyResource(line) !== null)) {
    throw new LocalProtocolError("a login names one key: give a delegate or a key line, not both");
  }
  const session = new Session(url, signer, options, options.webSocket ?? (await findWebSocket()));
  await session.start();
  return session;
}

export class Session {
  readonly trust = new TrustReader(this);
  readonly keys = new Keys(this);
  private readonly payments: Payments;
  private readonly subscriptions = new Set<Subscription>();
  private readonly listeners = new Map<string, Set<(event: never) => void>>();
  private connection: Connection | null = null;
  private connected: Promise<Connection> = Promise.reject(new Error("not started"));
  private loginReply: LoginReply | null = null;
  private over: { readonly why: Error | null } | null = null;
  private leavePauseMs: number | null = null;
  private comingBack = false;
  private ticket: Ticket | null = null;
  private keepAlive: KeepAlive | null = null;
  private readonly stopWakeUp: () => void;
  /** Tries since the session last proved to hold; a hub that flaps must see longer pauses. */
  private attempt = 0;
  private stopPause: () => void = () => {};

  constructor(
    private readonly url: string,
    readonly signer: Signer,
    private readonly options: ConnectOptions,
    private readonly webSocket: WebSocketClass,
  ) {
    this.connected.catch(() => {});
    this.payments = new Payments(this);
    this.stopWakeUp = onWakeUp(() => this.wakeUp());
  }

  /**
   * The reply to the newest login: session id, scopes; own trust as of then or the last resume.
   * Its token is left out: it stays where nothing prints it.
   */
  get login(): LoginReply {
    if (!this.loginReply) throw new Error("not logged in");
    return this.loginReply;
  }

  /** Call *listener* at each event of that name; returns how to stop it. */
  on<K extends keyof SessionEvents>(
    name: K,
    listener: (event: SessionEvents[K]) => void,
  ): () => void {
    const named = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, named.add(listener));
    return () => named.delete(listener);
  }

  /** Quotes for an intent, the newest only; leaving the loop ends the stream. */
  quotes(wish: PaymentWish): AsyncGenerator<Quote, void, undefined> {
    return quotes(this, this.intent(wish));
  }

  /**
   * Quote, prepare, check, sign and hand over a payment; resolves when the hub has it durably.
   *
   * Rejects with OutcomeUnknown when signed bytes may have been taken: don't pay anew then.
   */
  pay(wish: PaymentWish, options: PayOptions = {}): Promise<Payment> {
    return this.payments.pay(this.intent(wish, options.source), options);
  }

  /** Where a payment stands: the remedy for an outcome that got lost. */
  payment(paymentId: Uint8Array): Promise<PaymentStatus> {
    return this.request(RequestType.PAYMENT_GET, { paymentId });
  }

  /** What the hub counts as spent from *source*, and what that wallet holds. */
  spendLeft({ signer }: Spending): Promise<SpendGetReply> {
    return this.request(RequestType.SPEND_GET, { wallet: signer.publicKey });
  }

  /**
   * Send all that *source* holds and that isn't under way home to the session's wallet, without a
   * prompt; null when there is nothing to send.
   */
  async sweep(source: Spending): Promise<Payment | null> {
    const { balanceQu, heldQu } = await this.spendLeft(source);
    if (balanceQu <= heldQu) return null;
    const wish = { destination: this.signer.publicKey, amountQu: balanceQu - heldQu };
    return this.pay(wish, { source });
  }

  /**
   * The hub's signed word on this wallet, for `audience` to use without a network. It names this
   * session's key, with which `provePresence` answers the device.
   */
  async decision(audience: string, nonce: string | null = null): Promise<Uint8Array> {
    return (await this.request(RequestType.DECISION_GET, { audience, nonce })).decision;
  }

  /** Answer a device's nonce with this session's key; works without a network. */
  async provePresence(asked: PresenceFields): Promise<Uint8Array> {
    if (this.ticket === null) throw new LocalProtocolError("this session has no key to prove with");
    return this.ticket.key.provePresence(asked);
  }

  /**
   * Prolong the session by another signature, while it goes on: the delegate's where its grant
   * reaches further than the session, else the wallet's.
   */
  async refresh(): Promise<LoginReply> {
    const connection = await this.standing();
    const { sessionExpMs } = this.login;
    this.take(await refresh(connection, this.signer, this.loginOptions(), sessionExpMs));
    return this.login;
  }

  /** A subscription lost changes; called by subscriptions. */
  noteGap(gap: Gap): void {
    this.emit("gap", { gap });
  }

  /** End the session: nobody can resume it. */
  async close(): Promise<void> {
    if (this.over) return;
    const connection = this.connection;
    this.finish(null);
    if (connection?.open) {
      const timer = setTimeout(() => connection.close(), LOGOUT_TIMEOUT_MS);
      await connection.request(RequestType.LOGOUT, { everywhere: false }).catch(() => {});
      clearTimeout(timer);
    }
    connection?.close();
  }

  /**
   * Send a request, again on the next connection when this one is lost before the answer: each
   * of this package's requests may be repeated (a payment by its idempotency key).
   */
  async request<T extends RequestKind>(
    type: T,
    body: Requests[T]["request"],
    onReply?: (reply: Requests[T]["reply"], connection: Connection) => void,
  ): Promise<Requests[T]["reply"]> {
    for (;;) {
      const connection = await this.standing();
      try {
        return await connection.request(type, body, (reply) => onReply?.(reply, connection));
      } catch (error) {
        const lost = error instanceof ConnectionClosed;
        if (!lost || this.over || !this.comesBackAfter(error)) throw error;
        await this.turn(); // Let the session notice, so that `connected` is the next one.
      }
    }
  }

  /** Open *subscription* now and again on each later connection, until it is removed. */
  async add(subscription: Subscription): Promise<void> {
    for (;;) {
      const connection = await this.standing();
      try {
        await subscription.open(connection);
        if (this.connection === connection) break;
      } catch (error) {
        if (!(error instanceof ConnectionClosed) || this.over || !this.comesBackAfter(error)) {
          throw error;
        }
      }
      await this.turn();
    }
    this.subscriptions.add(subscription);
  }

  remove(subscription: Subscription): void {
    this.subscriptions.delete(subscription);
  }

  /** Connect and log in for the first time; called by `connect`. */
  async start(): Promise<void> {
    this.connected = this.openConnection().then(({ connection }) => connection);
    try {
      await this.connected;
    } catch (error) {
      this.stopWakeUp();
      throw error;
    }
  }

  /** The connection of now, or the next; ConnectionClosed when there will be none. */
  private async standing(): Promise<Connection> {
    try {
      return await this.connected;
    } catch (cause) {
      // Why the session ended is no answer to the request at hand: it must not look like one.
      if (cause instanceof ConnectionClosed) throw cause;
      throw new ConnectionClosed(1006, "the session is over", { cause });
    }
  }

  private intent(wish: PaymentWish, source?: Spending): Intent {
    return makeIntent((source?.signer ?? this.signer).publicKey, wish);
  }

  private async openConnection(): Promise<Opened> {
    const connection = new Connection(this.webSocket, this.url);
    const resumed = new Set<Subscription>();
    try {
      await this.inTime(connection, connection.challenge);
      const logIn = this.ticket === null ? login : loginAnew; // The resume uses the nonce up.
      const goesOn = await this.resumeOn(connection, resumed);
      if (!goesOn) this.take(await logIn(connection, this.signer, this.loginOptions()));
      if (this.over) throw new ConnectionClosed(1000, "closed here");
      this.standOn(connection);
      return { connection, resumed: goesOn ? resumed : null };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Take the session up again; false when that can't be done and only a login helps. */
  private async resumeOn(connection: Connection, resumed: Set<Subscription>): Promise<boolean> {
    const ticket = this.ticket;
    if (ticket === null) return false;
    const bySub = new Map<number, Subscription>();
    const rows: ResumeSub[] = [];
    for (const subscription of this.subscriptions) {
      const row = subscription.row();
      if (row === null || rows.length >= RESUMED_MAX) continue;
      bySub.set(row.sub, subscription);
      rows.push(row);
    }
    const onReply = (reply: ResumeReply): void => {
      this.ticket = { ...ticket, token: reply.resumeToken };
      if (this.loginReply) this.loginReply = { ...this.loginReply, trust: reply.trust };
      for (const sub of reply.subs) {
        const subscription = bySub.get(sub.sub);
        if (!subscription) continue;
        if (!this.subscriptions.has(subscription)) {
          // Its reader left meanwhile.
          connection.request(RequestType.UNSUBSCRIBE, { sub: sub.sub }).catch(() => {});
          continue;
        }
        subscription.resumed(connection, sub);
        resumed.add(subscription);
      }
      const count = (outcome: ResumeOutcome): number =>
        reply.subs.filter((sub) => sub.outcome === outcome).length;
      this.emit("resumed", {
        caughtUp: count(ResumeOutcome.CAUGHT_UP),
        replaying: count(ResumeOutcome.REPLAYING),
        gaps: count(ResumeOutcome.GAP),
      });
    };
    const reply = resume(connection, ticket, this.loginOptions(), rows, onReply);
    if ((await this.inTime(connection, reply)) !== null) return true;
    this.ticket = null;
    return false;
  }

  private take({ reply, key }: LoggedIn): void {
    const { sid, resumeToken: token } = reply;
    this.ticket = key !== null && token.length > 0 ? { sid, token, key } : null;
    this.loginReply = { ...reply, resumeToken: new Uint8Array() };
  }

  private loginOptions(): LoginOptions {
    return {
      url: this.url,
      domain: this.options.domain ?? defaultDomain(this.url),
      chain: this.options.chain ?? null,
      resources: this.options.resources ?? [],
      signWithinMs: this.options.signWithinMs ?? null,
      delegate: this.options.delegate ?? null,
    };
  }

  /** Wait for what a hub alone decides; the connection is closed when it takes too long. */
  private async inTime<T>(connection: Connection, waited: Promise<T>): Promise<T> {
    const timeoutMs = this.options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => connection.close(CloseCode.NO_PONG, "no answer"), timeoutMs);
    return waited.finally(() => clearTimeout(timer));
  }

  /** Use *connection* from now on. */
  private standOn(connection: Connection): void {
    this.connection = connection;
    connection.onPush = (push) => this.readPush(push);
    const intervalMs = this.options.pingIntervalMs ?? PING_INTERVAL_MS;
    const keepAlive = new KeepAlive(connection, intervalMs, ({ heads }) => {
      this.attempt = 0;
      this.reach(heads);
    });
    this.keepAlive = keepAlive;
    void connection.closed.then((why) => {
      keepAlive.stop();
      this.lost(why);
    });
  }

  private readPush(push: PushFrame): void {
    if (push.type === PushType.CHECKPOINT) this.reach(push.body.heads);
    else if (push.type === PushType.GOAWAY) this.leave(push.body);
  }

  private reach(heads: readonly Head[]): void {
    for (const head of heads) {
      for (const subscription of this.subscriptions) subscription.reached(head);
    }
  }

  /** The hub wants this client elsewhere, after a pause in its range. */
  private leave({ minMs, maxMs, resumeOk }: Goaway): void {
    if (this.leavePauseMs !== null) return;
    this.leavePauseMs = minMs + Math.floor(this.random() * Math.max(0, maxMs - minMs));
    if (!resumeOk) this.ticket = null;
    this.connection?.close(CloseCode.DRAINING, "goaway");
  }

  /** The page is seen again, or the network is back: look, instead of waiting for a timer. */
  private wakeUp(): void {
    if (this.comingBack) this.stopPause();
    else this.keepAlive?.doubt();
  }

  private lost(why: ConnectionClosed): void {
    if (this.over || this.comingBack) return;
    this.connection = null;
    if (!this.comesBackAfter(why)) return this.finish(why);
    this.connected = this.comeBack(why);
    this.connected.catch((error: Error) => this.finish(error));
  }

  private async comeBack(first: ConnectionClosed): Promise<Connection> {
    this.comingBack = true;
    try {
      let why: Error = first;
      while (this.attempt < this.attemptsMax) {
        await this.pause(why, this.attempt);
        if (this.over) break;
        this.attempt += 1;
        try {
          const { connection, resumed } = await this.openConnection();
          await this.reopen(connection, resumed ?? new Set());
          if (!connection.open) throw await connection.closed;
          this.emit("reconnected", { login: this.login, resumed: resumed !== null });
          return connection;
        } catch (error) {
          if (!(error instanceof RealtimeError) || !error.retry) throw error;
          why = error;
        }
      }
      throw why;
    } finally {
      this.comingBack = false;
    }
  }

  private async reopen(connection: Connection, resumed: Set<Subscription>): Promise<void> {
    for (const subscription of this.subscriptions) {
      if (resumed.has(subscription)) continue;
      try {
        await subscription.open(connection);
      } catch (error) {
        // One that the hub refuses now, such as a quote without a route, ends alone.
        if (!(error instanceof RequestError)) throw error;
        this.subscriptions.delete(subscription);
        subscription.fail(error);
      }
    }
  }

  private async pause(why: Error, attempt: number): Promise<void> {
    const asked =
      why instanceof ConnectionClosed || why instanceof RequestError ? why.retryAfterMs : null;
    const waitMs = this.leavePauseMs ?? pauseMs(attempt, this.random, asked ?? 0);
    this.leavePauseMs = null;
    this.emit("reconnecting", { why, attempt, pauseMs: waitMs });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.stopPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.stopPause = () => {};
  }

  private finish(why: Error | null): void {
    if (this.over) return;
    this.over = { why };
    this.ticket = null;
    this.stopWakeUp();
    this.stopPause();
    this.connected = Promise.reject(why ?? new ConnectionClosed(1000, "closed here"));
    this.connected.catch(() => {});
    for (const subscription of this.subscriptions) subscription.fail(why);
    this.subscriptions.clear();
    this.emit("closed", { why });
  }

  private comesBackAfter(why: ConnectionClosed): boolean {
    return why.retry && this.attemptsMax > 0;
  }

  private get attemptsMax(): number {
    return this.options.reconnectAttemptsMax ?? RECONNECT_ATTEMPTS_MAX;
  }

  private readonly random = (): number => (this.options.random ?? Math.random)();

  private turn(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  private emit<K extends keyof SessionEvents>(name: K, event: SessionEvents[K]): void {
    for (const listener of this.listeners.get(name) ?? []) {
      // Not from inside the reading of a frame: a listener's error must not break the session.
      queueMicrotask(() => (listener as (event: SessionEvents[K]) => void)(event));
    }
  }
}

function defaultDomain(url: string): string {
  const page = (globalThis as { location?: { readonly host?: string } }).location?.host;
  return page ?? new URL(url).host;
}
