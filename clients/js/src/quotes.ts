/** Quotes: a stream of the best route, the newest quote only. */

import type { Connection } from "./connection.js";
import { EventStream } from "./event-stream.js";
import type { Intent, Quote } from "./messages.js";
import type { Session, Subscription } from "./session.js";
import { PushType, RequestType } from "./tables.js";

/** Open a stream, yield its quotes, close it when the reader leaves. */
export async function* quotes(
  session: Session,
  intent: Intent,
): AsyncGenerator<Quote, void, undefined> {
  const stream = new QuoteStream(intent);
  await session.add(stream);
  try {
    yield* stream.events;
  } finally {
    session.remove(stream);
    stream.leave();
  }
}

class QuoteStream implements Subscription {
  readonly events = new EventStream<Quote>(1, { latest: true });
  private place: { readonly connection: Connection; readonly sub: number } | null = null;

  constructor(private readonly intent: Intent) {}

  async open(connection: Connection): Promise<void> {
    await connection.request(RequestType.QUOTE_OPEN, { intent: this.intent }, ({ sub }) => {
      this.place = { connection, sub };
      connection.route(sub, (push) => {
        if (push.type === PushType.QUOTE) this.events.push(push.body);
      });
    });
  }

  /** Only the newest quote counts, so there is nothing to go on from. */
  row(): null {
    return null;
  }

  resumed(): void {}

  reached(): void {}

  fail(error: Error | null): void {
    if (error) this.events.fail(error);
    else this.events.end();
  }

  leave(): void {
    if (!this.place) return;
    const { connection, sub } = this.place;
    connection.unroute(sub);
    if (connection.open) connection.request(RequestType.QUOTE_CLOSE, { sub }).catch(() => {});
  }
}
