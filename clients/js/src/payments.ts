/** Payments: prepared by the hub, checked here, signed by the wallet, followed to their end. */

import { toHex } from "./bytes.js";
import type { PushFrame } from "./codec.js";
import type { Connection } from "./connection.js";
import { ConnectionClosed, Refused, RequestError } from "./errors.js";
import { EventStream } from "./event-stream.js";
import {
  PAYMENT_STATUS,
  type Intent, type PaymentStatus, type Position, type PrepareReply, type PrepareRequest,
  type Quote,
} from "./messages.js";
import type { Session, Subscription } from "./session.js";
import { list } from "./shapes.js";
import {
  ErrorCode, PaymentState, PrepareKind, PushType, RequestType, TERMINAL_STATES,
} from "./tables.js";
import { checkPrepared, checkSigned } from "./transaction.js";

const EVENTS_MAX = 256;
const IDEM_BYTES = 16;
const EARLY_MAX = 256;
const SIGN_AGAIN_TRIES_MAX = 3;
const readSnapshot = list(PAYMENT_STATUS);

export interface PayOptions {
  /** Pay by this quote; without one the hub takes the best route of the moment. */
  readonly quote?: Quote;
  /** How long the wallet may take to sign: it moves the target tick. Default 0. */
  readonly signWithinMs?: number;
  /** Sign again when an attempt is proven missed. Default true. */
  readonly signAgain?: boolean;
}

/** Read it with `for await`: each state once, ending after one that nothing can follow. */
export class Payment implements AsyncIterable<PaymentStatus> {
  private readonly events = new EventStream<PaymentStatus>(EVENTS_MAX);
  private newest: PaymentStatus | null = null;
  /** Why signing again failed. The payment goes on: it expires unless another attempt is made. */
  signingError: Error | null = null;
  private readonly ended: Promise<PaymentStatus>;
  private resolveEnded!: (status: PaymentStatus) => void;
  private rejectEnded!: (error: Error) => void;

  constructor(
    readonly id: Uint8Array,
    /** The key under which the payment may be handed over again without being made twice. */
    readonly idem: Uint8Array,
  ) {
    this.ended = new Promise((resolve, reject) => {
      this.resolveEnded = resolve;
      this.rejectEnded = reject;
    });
    this.ended.catch(() => {}); // Not everyone waits for the end.
  }

  /** The newest status that was read; null before the first. */
  get status(): PaymentStatus | null {
    return this.newest;
  }

  /** Wait for a state that nothing can follow. */
  end(): Promise<PaymentStatus> {
    return this.ended;
  }

  [Symbol.asyncIterator](): AsyncIterator<PaymentStatus, undefined> {
    return this.events;
  }

  /** Take a status unless it is older than the newest; true when it ends the payment. */
  read(status: PaymentStatus): boolean {
    if (this.newest && status.stateSeq <= this.newest.stateSeq) return false;
    this.newest = status;
    this.events.push(status);
    if (!TERMINAL_STATES.has(status.state)) return false;
    this.events.end();
    this.resolveEnded(status);
    return true;
  }

  /** It is followed no longer: with an error, or because the session was closed here. */
  fail(error: Error | null): void {
    if (error) this.events.fail(error);
    else this.events.end();
    this.rejectEnded(error ?? new ConnectionClosed(1000, "closed here"));
  }
}

/** What one payment needs to be signed again. */
interface Followed {
  readonly payment: Payment;
  readonly intent: Intent;
  readonly options: PayOptions;
  attempt: number;
  signing: boolean;
}

/** All payments of one session, over one subscription to `pay:@me`. */
export class Payments implements Subscription {
  private readonly followed = new Map<string, Followed>();
  /**
   * Statuses of payments that nobody follows, the newest few: when the reply to `pay` got lost
   * with its connection, the states come before the reply that names the payment.
   */
  private readonly early = new Map<string, PaymentStatus>();
  private position: Position | null = null;
  private standing: Promise<void> | null = null;

  constructor(private readonly session: Session) {}

  async pay(intent: Intent, options: PayOptions): Promise<Payment> {
    await this.stand();
    const { quote } = options;
    const prepared = await this.prepare({
      kind: quote ? PrepareKind.QUOTE : PrepareKind.INTENT,
      quoteId: quote?.quoteId ?? null,
      of: quote ? null : intent,
      signWithinMs: options.signWithinMs ?? 0,
    });
    const signedTx = await this.sign(prepared, intent);
    const idem = crypto.getRandomValues(new Uint8Array(IDEM_BYTES));
    return new Promise((resolve, reject) => {
      const body = { idem, quoteId: prepared.quoteId, signedTx, attempt: prepared.attempt };
      this.session
        .request(RequestType.PAY, body, ({ paymentId, attempt }) => {
          const payment = new Payment(paymentId, idem);
          this.follow({ payment, intent, options, attempt, signing: false });
          resolve(payment);
        })
        .catch(reject);
    });
  }

  async open(connection: Connection): Promise<void> {
    const body = { channel: "pay:@me", position: this.position, wallets: null };
    await connection.request(RequestType.SUBSCRIBE, body, (reply) => {
      connection.route(reply.sub, (push) => this.read(push));
      if (!reply.recovered || !this.position) {
        this.position = { epoch: reply.epoch, offset: reply.head };
      }
      const snapshot = reply.snapshot ? readSnapshot.read(reply.snapshot, "snapshot") : [];
      for (const status of snapshot) {
        this.readStatus(status);
        // Its pay.resign may have been lost with the connection.
        if (status.state === PaymentState.MISSED) this.readResign(status.paymentId);
      }
    });
  }

  fail(error: Error | null): void {
    for (const { payment } of this.followed.values()) payment.fail(error);
    this.followed.clear();
  }

  /** Subscribed before the first payment, so that none of its states can be missed. */
  private stand(): Promise<void> {
    this.standing ??= this.session.add(this).catch((error: unknown) => {
      this.standing = null;
      throw error;
    });
    return this.standing;
  }

  private prepare(body: PrepareRequest): Promise<PrepareReply> {
    return this.session.request(RequestType.PAY_PREPARE, body);
  }

  /** Nothing is signed that isn't, field by field, the payer's own wish. */
  private async sign(prepared: PrepareReply, intent: Intent): Promise<Uint8Array> {
    const { signer } = this.session;
    if (!signer.signTransaction) throw new Refused("signer", "this signer signs no transactions");
    checkPrepared(prepared, intent);
    const signed = await signer.signTransaction(prepared.unsignedTx);
    checkSigned(signed, prepared.unsignedTx);
    return signed;
  }

  private read(push: PushFrame): void {
    if (push.offset > 0 && this.position) {
      this.position = { epoch: this.position.epoch, offset: push.offset };
    }
    if (push.type === PushType.PAYMENT_STATUS) this.readStatus(push.body);
    else if (push.type === PushType.PAY_RESIGN) this.readResign(push.body.paymentId);
  }

  private follow(followed: Followed): void {
    const name = toHex(followed.payment.id);
    const early = this.early.get(name);
    this.early.delete(name);
    if (early && followed.payment.read(early)) return;
    this.followed.set(name, followed);
  }

  private readStatus(status: PaymentStatus): void {
    const name = toHex(status.paymentId);
    const followed = this.followed.get(name);
    if (followed) {
      if (followed.payment.read(status)) this.followed.delete(name);
      return;
    }
    this.early.delete(name);
    this.early.set(name, status);
    const [oldest] = this.early.keys();
    if (this.early.size > EARLY_MAX && oldest !== undefined) this.early.delete(oldest);
  }

  private readResign(paymentId: Uint8Array): void {
    const followed = this.followed.get(toHex(paymentId));
    if (!followed || followed.signing || followed.options.signAgain === false) return;
    followed.signing = true;
    this.signAgain(followed)
      .catch((error: Error) => (followed.payment.signingError = error))
      .finally(() => (followed.signing = false));
  }

  private async signAgain(followed: Followed): Promise<void> {
    const { payment, intent, options } = followed;
    for (let tries = 1; ; tries += 1) {
      const prepared = await this.prepare({
        kind: PrepareKind.AGAIN,
        quoteId: null,
        of: payment.id,
        signWithinMs: options.signWithinMs ?? 0,
      });
      if (prepared.attempt !== followed.attempt + 1) {
        throw new Refused("transaction", `attempt ${prepared.attempt} after ${followed.attempt}`);
      }
      const signedTx = await this.sign(prepared, intent);
      const { quoteId, attempt } = prepared;
      try {
        const body = { idem: payment.idem, quoteId, signedTx, attempt };
        await this.session.request(RequestType.PAY, body);
        followed.attempt = attempt;
        return;
      } catch (error) {
        const tooLate =
          error instanceof RequestError && error.code === ErrorCode.TARGET_TICK_PASSED;
        if (!tooLate || tries >= SIGN_AGAIN_TRIES_MAX) throw error;
      }
    }
  }
}
