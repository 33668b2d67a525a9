/** Trust: asked once, or followed. */

import { sameBytes, toHex } from "./bytes.js";
import type { PushFrame } from "./codec.js";
import type { Connection } from "./connection.js";
import { EventStream } from "./event-stream.js";
import {
  WALLET_TRUST,
  type Gap, type Head, type Position, type ResumeSub, type ResumedSub, type SubscribeReply,
  type Trust, type TrustChanged, type WalletTrust,
} from "./messages.js";
import type { Session, Subscription } from "./session.js";
import { list } from "./shapes.js";
import { PushType, RequestType, ResumeOutcome } from "./tables.js";

const EVENTS_MAX = 1_024;
const UNPOSITIONED = 0;
const readSnapshot = list(WALLET_TRUST);

export type TrustEvent =
  /** Emitted when the subscription stands, and after a reconnect that couldn't be caught up. */
  | { readonly kind: "snapshot"; readonly wallets: readonly WalletTrust[] }
  /** Emitted when a wallet's trust changed; offset is its place in the hub's log. */
  | { readonly kind: "changed"; readonly offset: number; readonly change: TrustChanged }
  /** Emitted when changes were lost; what stands now follows. */
  | { readonly kind: "gap"; readonly gap: Gap };

/** `session.trust`. */
export class TrustReader {
  constructor(private readonly session: Session) {}

  /** What is known of each of 1 to 64 wallets, in their order. */
  get(wallets: Uint8Array[]): Promise<Trust[]> {
    return this.session.request(RequestType.TRUST_GET, wallets);
  }

  /** Follow the session's own wallet, or up to 256 others. */
  async subscribe(wallets: Uint8Array[] | null = null): Promise<TrustSubscription> {
    const subscription = new TrustSubscription(this.session, wallets);
    await this.session.add(subscription);
    return subscription;
  }
}

/** Read it with `for await`; leaving the loop unsubscribes. */
export class TrustSubscription implements Subscription, AsyncIterable<TrustEvent> {
  private readonly events: EventStream<TrustEvent>;
  private place: { readonly connection: Connection; readonly sub: number } | null = null;
  private position: Position | null = null;
  /** Wallets whose change at the position itself was told. */
  private readonly seenThere = new Set<string>();
  private gapAnnounced = false;

  constructor(
    private readonly session: Session,
    private readonly wallets: Uint8Array[] | null,
  ) {
    this.events = new EventStream(EVENTS_MAX, { onLeave: () => this.leave() });
  }

  [Symbol.asyncIterator](): AsyncIterator<TrustEvent, undefined> {
    return this.events;
  }

  async close(): Promise<void> {
    await this.events.return();
  }

  async open(connection: Connection): Promise<void> {
    const body = { channel: this.channel, position: this.position, wallets: this.wallets };
    await connection.request(RequestType.SUBSCRIBE, body, (reply) => {
      this.place = { connection, sub: reply.sub };
      connection.route(reply.sub, (push) => this.read(push));
      this.stand(reply);
    });
  }

  row(): ResumeSub | null {
    if (!this.place || !this.position) return null;
    const { channel, wallets, position } = this;
    return { sub: this.place.sub, channel, ...position, wallets };
  }

  resumed(connection: Connection, { sub, outcome, epoch, head }: ResumedSub): void {
    this.place = { connection, sub };
    connection.route(sub, (push) => this.read(push));
    this.gapAnnounced = outcome === ResumeOutcome.GAP;
    if (outcome !== ResumeOutcome.REPLAYING) this.standAt({ epoch, offset: head });
  }

  reached({ sub, epoch, head }: Head): void {
    if (sub !== this.place?.sub) return;
    const known = this.position !== null && sameBytes(this.position.epoch, epoch);
    if (!known || head > (this.position as Position).offset) {
      this.standAt({ epoch, offset: head });
    }
  }

  fail(error: Error | null): void {
    if (error) this.events.fail(error);
    else this.events.end();
  }

  private get channel(): string {
    return this.wallets ? "trust" : "trust:@me";
  }

  private standAt(position: Position | null): void {
    const same = position && this.position && position.offset === this.position.offset &&
      sameBytes(position.epoch, this.position.epoch);
    if (!same) this.seenThere.clear();
    this.position = position;
  }

  private stand(reply: SubscribeReply): void {
    const known = this.position && sameBytes(this.position.epoch, reply.epoch);
    // What is replayed after a recovery lies between our position and the head.
    if (!reply.recovered || !known) {
      this.standAt({ epoch: reply.epoch, offset: reply.head });
    }
    if (reply.snapshot) {
      this.events.push({ kind: "snapshot", wallets: readSnapshot.read(reply.snapshot, "snapshot") });
    }
  }

  private read(push: PushFrame): void {
    if (push.type === PushType.TRUST_CHANGED) {
      if (!this.isNews(push.offset, toHex(push.body.wallet))) return;
      this.events.push({ kind: "changed", offset: push.offset, change: push.body });
    } else if (push.type === PushType.GAP) {
      // What was lost can't be had again: without a place to stand the next start is a snapshot.
      if (!this.gapAnnounced) this.standAt(null);
      this.gapAnnounced = false;
      this.events.push({ kind: "gap", gap: push.body });
      this.session.noteGap(push.body);
    }
  }

  /** Whether a change at *offset* was not seen before: an effect happens once. */
  private isNews(offset: number, wallet: string): boolean {
    // What an app's own list says has no place in the shared log.
    if (this.position === null || offset === UNPOSITIONED) return true;
    if (offset < this.position.offset) return false;
    if (offset === this.position.offset && this.seenThere.has(wallet)) return false;
    this.standAt({ epoch: this.position.epoch, offset });
    this.seenThere.add(wallet);
    return true;
  }

  private leave(): void {
    this.session.remove(this);
    if (!this.place) return;
    const { connection, sub } = this.place;
    connection.unroute(sub);
    if (connection.open) connection.request(RequestType.UNSUBSCRIBE, { sub }).catch(() => {});
  }
}
