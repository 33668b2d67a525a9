/** Trust: asked once, or followed. */

import { sameBytes } from "./bytes.js";
import type { PushFrame } from "./codec.js";
import type { Connection } from "./connection.js";
import { EventStream } from "./event-stream.js";
import {
  WALLET_TRUST,
  type Gap, type Position, type SubscribeReply, type Trust, type TrustChanged, type WalletTrust,
} from "./messages.js";
import type { Session, Subscription } from "./session.js";
import { list } from "./shapes.js";
import { PushType, RequestType } from "./tables.js";

const EVENTS_MAX = 1_024;
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
    const channel = this.wallets ? "trust" : "trust:@me";
    const body = { channel, position: this.position, wallets: this.wallets };
    await connection.request(RequestType.SUBSCRIBE, body, (reply) => {
      this.place = { connection, sub: reply.sub };
      connection.route(reply.sub, (push) => this.read(push));
      this.stand(reply);
    });
  }

  fail(error: Error | null): void {
    if (error) this.events.fail(error);
    else this.events.end();
  }

  private stand(reply: SubscribeReply): void {
    const known = this.position && sameBytes(this.position.epoch, reply.epoch);
    // What is replayed after a recovery lies between our position and the head.
    if (!reply.recovered || !known) {
      this.position = { epoch: reply.epoch, offset: reply.head };
    }
    if (reply.snapshot) {
      this.events.push({ kind: "snapshot", wallets: readSnapshot.read(reply.snapshot, "snapshot") });
    }
  }

  private read(push: PushFrame): void {
    if (push.type === PushType.TRUST_CHANGED) {
      if (this.position) {
        if (push.offset < this.position.offset) return; // Seen before: an effect happens once.
        this.position = { epoch: this.position.epoch, offset: push.offset };
      }
      this.events.push({ kind: "changed", offset: push.offset, change: push.body });
    } else if (push.type === PushType.GAP) {
      this.position = null; // What was lost can't be had again: the next start is a snapshot.
      this.events.push({ kind: "gap", gap: push.body });
    }
  }

  private leave(): void {
    this.session.remove(this);
    if (!this.place) return;
    const { connection, sub } = this.place;
    connection.unroute(sub);
    if (connection.open) connection.request(RequestType.UNSUBSCRIBE, { sub }).catch(() => {});
  }
}
