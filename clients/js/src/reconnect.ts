/** Pauses between connections. */

const PAUSE_MS_FIRST = 250;
const PAUSE_MS_MAX = 30_000;

/**
 * How long to wait before try number *attempt* (from 0): uniform up to a bound that doubles, so
 * that many clients of one hub don't come back together, but at least *leastMs*.
 */
export function pauseMs(attempt: number, random: () => number, leastMs = 0): number {
  const boundMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_FIRST * 2 ** Math.min(attempt, 30));
  return leastMs + Math.floor(random() * boundMs);
}
