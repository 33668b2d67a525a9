import { SlowReader } from "./errors.js";

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Events for one reader, in order, with a bound on those that wait.
 *
 * At the bound a `latest` stream drops the oldest; any other ends with SlowReader, since an event
 * that a reader must not miss can't be left out.
 */
export class EventStream<T> implements AsyncIterableIterator<T, undefined> {
  private readonly waiting: T[] = [];
  private readonly waiters: Waiter<T>[] = [];
  private ended = false;
  private failure: Error | null = null;

  constructor(
    private readonly eventsMax: number,
    private readonly options: {
      readonly latest?: boolean;
      /** Called once when the reader leaves or was too slow: let go of what feeds the stream. */
      readonly onLeave?: () => void;
    } = {},
  ) {}

  push(event: T): void {
    if (this.ended) return;
    const waiter = this.waiters.shift();
    if (waiter) {
      waiter.resolve({ done: false, value: event });
      return;
    }
    if (this.waiting.length < this.eventsMax) {
      this.waiting.push(event);
    } else if (this.options.latest) {
      this.waiting.shift();
      this.waiting.push(event);
    } else {
      this.fail(new SlowReader(`${this.eventsMax} events wait unread; subscribe again`));
      this.options.onLeave?.();
    }
  }

  /** No more events; those that wait are still read. */
  end(): void {
    this.ended = true;
    for (const waiter of this.waiters.splice(0)) waiter.resolve({ done: true, value: undefined });
  }

  /** No more events; after those that wait the reader gets *error*, once. */
  fail(error: Error): void {
    if (this.ended) return;
    const waiters = this.waiters.splice(0);
    this.ended = true;
    if (waiters.length === 0) this.failure = error;
    for (const waiter of waiters) waiter.reject(error);
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    if (this.waiting.length > 0) return { done: false, value: this.waiting.shift() as T };
    const failure = this.failure;
    if (failure) {
      this.failure = null;
      throw failure;
    }
    if (this.ended) return { done: true, value: undefined };
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  /** The reader leaves, as `break` in `for await` does. */
  async return(): Promise<IteratorResult<T, undefined>> {
    if (!this.ended) {
      this.end();
      this.options.onLeave?.();
    }
    this.waiting.length = 0;
    this.failure = null;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
