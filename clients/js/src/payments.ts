/**
 * Payments: quoted and prepared by the hub, checked here, signed by the wallet, followed to their
 * end.
 *
 * Two signatures can be two payments on Qubic. So this client signs again only when the hub says
 * that the attempt before is proven missed, and never because an answer is missing: then the same
 * bytes go again under the same key, which pays once.
 */

import { sameBytes, toHex } from "./bytes.js";
import type { PushFrame } from "./codec.js";
import type { Connection } from "./connection.js";
import { OutcomeUnknown, Refused, RequestError } from "./errors.js";
import {
  PAYMENT_STATUS,
  type Head, type Intent, type PayReply, type PayRequest, type PaymentStatus, type Position,
  type PrepareReply, type PrepareRequest, type Quote, type ResumeSub, type ResumedSub,
} from "./messages.js";
import { Payment } from "./payment.js";
import { quotes } from "./quotes.js";
import type { Session, Subscription } from "./session.js";
import type { Spending } from "./spending.js";
import { list } from "./shapes.js";
import {
  ErrorCode, PaymentState, PrepareKind, PushType, RequestType, ResumeOutcome,
} from "./tables.js";
import {
  TICKS_AHEAD_MAX, checkPrepared, checkQuote, checkSigned, type Agreed,
} from "./transaction.js";

const CHANNEL = "pay:@me";
const IDEM_BYTES = 16;
const EARLY_MAX = 256;
const ATTEMPTS_MAX = 3;
/** How often the same bytes are handed over while the hub asks to come back. */
const SENDS_MAX = 8;
const SEND_AGAIN_MS = 200;
const readSnapshot = list(PAYMENT_STATUS);

export interface PayOptions {
  /** Pay from this wallet of the session's delegate, without a prompt, instead of the session's. */
  readonly source?: Spending;
  /** Pay by this quote; without one the first of a new stream is taken. */
  readonly quote?: Quote;
  /** How long the wallet may take to sign: it moves the target tick. Default 0. */
  readonly signWithinMs?: number;
  /** How often to sign, each time on the hub's word that the attempt before is dead. Default 3. */
  readonly attemptsMax?: number;
}

/** What one payment needs to be signed again. */
interface Followed {
  readonly payment: Payment;
  readonly intent: Intent;
  readonly options: PayOptions;
  attempt: number;
  attemptsLeft: number;
  /** Target tick of the newest attempt. */
  tick: number;
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
  private sub = 0;
  private position: Position | null = null;
  private gapAnnounced = false;
  private standing: Promise<void> | null = null;

  constructor(private readonly session: Session) {}

  async pay(intent: Intent, options: PayOptions): Promise<Payment> {
    await this.stand();
    const quote = options.quote ?? (await this.firstQuote(intent));
    checkQuote(quote, intent);
    const { quoteId, validUntilTick } = quote;
    const prepared = await this.prepare({
      kind: PrepareKind.QUOTE, quoteId, of: null, signWithinMs: options.signWithinMs ?? 0,
    });
    const signedTx = await this.sign(prepared, intent, options, {
      quoteId,
      attempt: null,
      tickMin: Math.max(1, validUntilTick - TICKS_AHEAD_MAX),
      tickMax: validUntilTick + TICKS_AHEAD_MAX,
    });
    const idem = crypto.getRandomValues(new Uint8Array(IDEM_BYTES));
    const body = { idem, quoteId, signedTx, attempt: prepared.attempt };
    let payment: Payment | undefined;
    const reply = await this.handOver(body, ({ paymentId, attempt }) => {
      payment = new Payment(paymentId, idem);
      const attemptsLeft = (options.attemptsMax ?? ATTEMPTS_MAX) - 1;
      const { tick } = prepared;
      this.follow({ payment, intent, options, attempt, attemptsLeft, tick, signing: false });
    });
    return payment ?? new Payment(reply.paymentId, idem);
  }

  async open(connection: Connection): Promise<void> {
    const body = { channel: CHANNEL, position: this.position, wallets: null };
    await connection.request(RequestType.SUBSCRIBE, body, (reply) => {
      this.sub = reply.sub;
      connection.route(reply.sub, (push) => this.read(push));
      if (!reply.recovered || !this.position) {
        this.position = { epoch: reply.epoch, offset: reply.head };
      }
      const snapshot = reply.snapshot ? readSnapshot.read(reply.snapshot, "snapshot") : [];
      for (const status of snapshot) this.readStatus(status);
    });
  }

  row(): ResumeSub | null {
    if (!this.position) return null;
    return { sub: this.sub, channel: CHANNEL, ...this.position, wallets: null };
  }

  resumed(connection: Connection, { sub, outcome, epoch, head }: ResumedSub): void {
    this.sub = sub;
    connection.route(sub, (push) => this.read(push));
    this.gapAnnounced = outcome === ResumeOutcome.GAP;
    if (outcome !== ResumeOutcome.REPLAYING) this.position = { epoch, offset: head };
  }

  reached({ sub, epoch, head }: Head): void {
    if (sub !== this.sub) return;
    const known = this.position !== null && sameBytes(this.position.epoch, epoch);
    if (!known || head > (this.position as Position).offset) {
      this.position = { epoch, offset: head };
    }
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

  private async firstQuote(intent: Intent): Promise<Quote> {
    for await (const quote of quotes(this.session, intent)) return quote;
    throw new Refused("quote", "the stream of quotes ended before the first");
  }

  private prepare(body: PrepareRequest): Promise<PrepareReply> {
    return this.session.request(RequestType.PAY_PREPARE, body);
  }

  /** Nothing is signed that isn't, field by field, the payer's own wish. */
  private async sign(
    prepared: PrepareReply,
    intent: Intent,
    { source }: PayOptions,
    agreed: Agreed,
  ): Promise<Uint8Array> {
    const signer = source?.signer ?? this.session.signer;
    if (!signer.signTransaction) throw new Refused("signer", "this signer signs no transactions");
    checkPrepared(prepared, intent, agreed);
    source?.spend(intent, this.session.signer.publicKey, agreed.attempt !== null);
    const signed = await signer.signTransaction(prepared.unsignedTx);
    checkSigned(signed, prepared.unsignedTx);
    return signed;
  }

  /** Hand the same bytes over until the hub says what it made of them. */
  private async handOver(
    body: PayRequest,
    onReply: (reply: PayReply) => void = () => {},
  ): Promise<PayReply> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.session.request(RequestType.PAY, body, onReply);
      } catch (error) {
        const answered = error instanceof RequestError && error.code !== ErrorCode.OUTCOME_UNKNOWN;
        if (answered && !error.retry) throw error;
        if (!answered || tries >= SENDS_MAX) throw new OutcomeUnknown(body, error as Error);
        const pauseMs = error.retryAfterMs ?? SEND_AGAIN_MS;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  private follow(followed: Followed): void {
    const name = toHex(followed.payment.id);
    const early = this.early.get(name);
    this.early.delete(name);
    this.followed.set(name, followed);
    if (early) this.readStatus(early);
  }

  private read(push: PushFrame): void {
    if (this.position && push.offset > this.position.offset) {
      this.position = { epoch: this.position.epoch, offset: push.offset };
    }
    if (push.type === PushType.PAYMENT_STATUS) this.readStatus(push.body);
    else if (push.type === PushType.PAY_RESIGN) this.ask(push.body.paymentId);
    else if (push.type === PushType.GAP) {
      if (!this.gapAnnounced) this.position = null;
      this.gapAnnounced = false;
      this.session.noteGap(push.body);
      for (const { payment } of this.followed.values()) this.ask(payment.id);
    }
  }

  private readStatus(status: PaymentStatus): void {
    const name = toHex(status.paymentId);
    const followed = this.followed.get(name);
    if (!followed) {
      this.noteEarly(name, status);
      return;
    }
    if (followed.payment.read(status)) this.followed.delete(name);
    else this.signMissed(followed);
  }

  private noteEarly(name: string, status: PaymentStatus): void {
    this.early.delete(name);
    this.early.set(name, status);
    const [oldest] = this.early.keys();
    if (this.early.size > EARLY_MAX && oldest !== undefined) this.early.delete(oldest);
  }

  /**
   * A wish for another signature, or a gap, is only a reason to ask: nothing but a status that
   * says `missed` of the newest attempt makes this client sign again.
   */
  private ask(paymentId: Uint8Array): void {
    if (!this.followed.has(toHex(paymentId))) return;
    this.session.payment(paymentId).then(
      (status) => this.readStatus(status),
      () => {}, // The next status, or the next connection's snapshot, says it.
    );
  }

  private signMissed(followed: Followed): void {
    const { status } = followed.payment;
    const missed = status?.state === PaymentState.MISSED && status.tick === followed.tick;
    if (!missed || followed.signing || followed.attemptsLeft < 1) return;
    followed.signing = true;
    this.signAgain(followed)
      .catch((error: Error) => (followed.payment.signingError = error))
      .finally(() => (followed.signing = false));
  }

  private async signAgain(followed: Followed): Promise<void> {
    const { payment, intent, options, tick } = followed;
    const prepared = await this.prepare({
      kind: PrepareKind.AGAIN, quoteId: null, of: payment.id,
      signWithinMs: options.signWithinMs ?? 0,
    });
    followed.attemptsLeft -= 1;
    const signedTx = await this.sign(prepared, intent, options, {
      quoteId: null,
      attempt: followed.attempt + 1,
      tickMin: tick + 1,
      tickMax: tick + 2 * TICKS_AHEAD_MAX,
    });
    const { quoteId, attempt } = prepared;
    followed.tick = prepared.tick;
    await this.handOver({ idem: payment.idem, quoteId, signedTx, attempt });
    followed.attempt = attempt;
  }
}
