/** A session: logged in, and logged in again when the connection is lost. */

import type { PushFrame, RequestKind } from "./codec.js";
import { Connection } from "./connection.js";
import { ConnectionClosed, RealtimeError, RequestError } from "./errors.js";
import { login } from "./login.js";
import type { Intent, LoginReply, PaymentStatus, Quote, Requests } from "./messages.js";
import { makeIntent, type PaymentWish } from "./intent.js";
import type { Payment } from "./payment.js";
import { Payments, type PayOptions } from "./payments.js";
import { quotes } from "./quotes.js";
import { pauseMs } from "./reconnect.js";
import { checkSigner, type Signer } from "./signer.js";
import { CloseCode, PushType, RequestType } from "./tables.js";
import { TrustReader } from "./trust.js";
import { findWebSocket, type WebSocketClass } from "./web-socket.js";

export interface ConnectOptions {
  /** Whom the login is for: default the page's host, outside a browser the hub's. */
  readonly domain?: string;
  /** The chain that the hub must name, such as "mainnet"; default: whichever. */
  readonly chain?: string;
  /** Lines of the login text that ask for less or more than the default; see scopeResource. */
  readonly resources?: readonly string[];
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
  /** Emitted when the session is logged in again and its subscriptions stand. */
  reconnected: { readonly login: LoginReply };
  /** Emitted when the session is over; `why` is null after `close()`. */
  closed: { readonly why: Error | null };
}

/** What a session opens again on each new connection. */
export interface Subscription {
  /** Subscribe on *connection*; called once for each connection. */
  open(connection: Connection): Promise<void>;
  /** The session is over. */
  fail(error: Error | null): void;
}

const RECONNECT_ATTEMPTS_MAX = 10;
const PING_INTERVAL_MS = 15_000;
const PINGS_MISSED_MAX = 2;
const CONNECT_TIMEOUT_MS = 10_000;
const LOGOUT_TIMEOUT_MS = 2_000;

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
  const session = new Session(url, signer, options, options.webSocket ?? (await findWebSocket()));
  await session.start();
  return session;
}

export class Session {
  readonly trust = new TrustReader(this);
  private readonly payments: Payments;
  private readonly subscriptions = new Set<Subscription>();
  private readonly listeners = new Map<string, Set<(event: never) => void>>();
  private connection: Connection | null = null;
  private connected: Promise<Connection> = Promise.reject(new Error("not started"));
  private loginReply: LoginReply | null = null;
  private over: { readonly why: Error | null } | null = null;
  private leavePauseMs: number | null = null;
  private comingBack = false;
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
  }

  /** The reply to the newest login: session id, scopes, own trust at that time. */
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
    return this.payments.pay(this.intent(wish), options);
  }

  /** Where a payment stands: the remedy for an outcome that got lost. */
  payment(paymentId: Uint8Array): Promise<PaymentStatus> {
    return this.request(RequestType.PAYMENT_GET, { paymentId });
  }

  /** End the session here; its resumption elsewhere too where the hub offers one. */
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
    this.connected = this.openConnection();
    await this.connected;
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

  private intent(wish: PaymentWish): Intent {
    return makeIntent(this.signer.publicKey, wish);
  }

  private async openConnection(): Promise<Connection> {
    const connection = new Connection(this.webSocket, this.url);
    const timeoutMs = this.options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => connection.close(CloseCode.NO_PONG, "no challenge"), timeoutMs);
    try {
      await connection.challenge.finally(() => clearTimeout(timer));
      this.loginReply = await login(connection, this.signer, {
        url: this.url,
        domain: this.options.domain ?? defaultDomain(this.url),
        chain: this.options.chain ?? null,
        resources: this.options.resources ?? [],
        signWithinMs: this.options.signWithinMs ?? null,
      });
      if (this.over) throw new ConnectionClosed(1000, "closed here");
    } catch (error) {
      connection.close();
      throw error;
    }
    this.connection = connection;
    connection.onPush = (push) => this.readPush(push);
    const ping = this.keepAlive(connection);
    void connection.closed.then((why) => {
      clearInterval(ping);
      this.lost(why);
    });
    return connection;
  }

  private readPush(push: PushFrame): void {
    if (push.type !== PushType.GOAWAY || this.leavePauseMs !== null) return;
    const { minMs, maxMs } = push.body;
    this.leavePauseMs = minMs + Math.floor(this.random() * Math.max(0, maxMs - minMs));
    this.connection?.close(CloseCode.DRAINING, "goaway");
  }

  private keepAlive(connection: Connection): ReturnType<typeof setInterval> {
    let missed = 0;
    const timer = setInterval(() => {
      if (missed >= PINGS_MISSED_MAX) return connection.close(CloseCode.NO_PONG, "no answer");
      missed += 1;
      connection.request(RequestType.PING, { clientMs: Date.now() }).then(
        () => (missed = this.attempt = 0),
        () => {}, // Lost or refused: the next turn of the interval counts it.
      );
    }, this.options.pingIntervalMs ?? PING_INTERVAL_MS);
    // In Node the socket keeps the program alive while it is open; the timer alone must not.
    (timer as { unref?: () => void }).unref?.();
    return timer;
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
          const connection = await this.openConnection();
          await this.reopen(connection);
          if (!connection.open) throw await connection.closed;
          this.emit("reconnected", { login: this.login });
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

  private async reopen(connection: Connection): Promise<void> {
    for (const subscription of this.subscriptions) {
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
    const leastMs = this.leavePauseMs ?? asked ?? 0;
    this.leavePauseMs = null;
    const waitMs = pauseMs(attempt, this.random, leastMs);
    this.emit("reconnecting", { why, attempt, pauseMs: waitMs });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.stopPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private finish(why: Error | null): void {
    if (this.over) return;
    this.over = { why };
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
