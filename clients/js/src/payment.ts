import { ConnectionClosed } from "./errors.js";
import { EventStream } from "./event-stream.js";
import type { PaymentStatus } from "./messages.js";
import { TERMINAL_STATES } from "./tables.js";

const EVENTS_MAX = 256;

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
