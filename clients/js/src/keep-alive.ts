/** Finds out that a connection is dead, also after the page or the machine has slept. */

import type { Connection } from "./connection.js";
import type { PingReply } from "./messages.js";
import { CloseCode, RequestType } from "./tables.js";

const PINGS_MISSED_MAX = 2;
/** How long an answer may take once there is reason to doubt the connection. */
const DOUBT_MS = 5_000;

/** Asks for a sign of life every so often; closes the connection when none comes. */
export class KeepAlive {
  private readonly interval: ReturnType<typeof setInterval>;
  private deadline: ReturnType<typeof setTimeout> | null = null;
  private missed = 0;
  private turnMs = Date.now();

  constructor(
    private readonly connection: Connection,
    private readonly intervalMs: number,
    private readonly onAlive: (reply: PingReply) => void,
  ) {
    this.interval = setInterval(() => this.turn(), intervalMs);
    // In Node the socket keeps the program alive while it is open; the timer alone must not.
    (this.interval as { unref?: () => void }).unref?.();
  }

  stop(): void {
    clearInterval(this.interval);
    this.settle();
  }

  /** Ask now, and believe in the connection no longer than a few seconds without an answer. */
  doubt(): void {
    if (this.deadline !== null) return;
    this.deadline = setTimeout(() => this.giveUp(), DOUBT_MS);
    (this.deadline as { unref?: () => void }).unref?.();
    this.ask();
  }

  private turn(): void {
    const nowMs = Date.now();
    // A turn that comes much too late: the machine slept, or the page was hidden. Its timers say
    // nothing then, so one question is asked instead of counting.
    const slept = nowMs - this.turnMs > 2 * this.intervalMs;
    this.turnMs = nowMs;
    if (slept || this.deadline !== null) return this.doubt();
    if (this.missed >= PINGS_MISSED_MAX) return this.giveUp();
    this.missed += 1;
    this.ask();
  }

  private ask(): void {
    this.connection.request(RequestType.PING, { clientMs: Date.now() }).then(
      (reply) => {
        this.missed = 0;
        this.settle();
        this.onAlive(reply);
      },
      () => {}, // Lost or refused: the next turn counts it.
    );
  }

  private settle(): void {
    if (this.deadline !== null) clearTimeout(this.deadline);
    this.deadline = null;
  }

  private giveUp(): void {
    this.stop();
    this.connection.close(CloseCode.NO_PONG, "no answer");
  }
}

/**
 * Call *listener* when the page is seen again or the network is back; returns how to stop it.
 *
 * A hidden page's timers run once a minute or not at all, so nothing else would notice soon.
 */
export function onWakeUp(listener: () => void): () => void {
  const { document } = globalThis as { document?: Document };
  const seen = (): void => {
    if (document?.visibilityState !== "hidden") listener();
  };
  const page = globalThis as Partial<Pick<Window, "addEventListener" | "removeEventListener">>;
  const names = ["online", "pageshow"];
  document?.addEventListener("visibilitychange", seen);
  for (const name of names) page.addEventListener?.(name, seen);
  return () => {
    document?.removeEventListener("visibilitychange", seen);
    for (const name of names) page.removeEventListener?.(name, seen);
  };
}
