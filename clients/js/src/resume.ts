/** Taking a session up again on another connection, without the wallet. */

import type { Connection } from "./connection.js";
import { RequestError } from "./errors.js";
import { checkChallenge, type Place } from "./login-text.js";
import type { ResumeReply, ResumeSub } from "./messages.js";
import type { SessionKey } from "./session-key.js";
import { ErrorCode, RequestType } from "./tables.js";

const FRAME_BYTES_MAX = 4_096;
/** Token, proof and envelope. */
const FRAME_BYTES_KEPT = 256;

/** What a session can be resumed with. It stays in memory: another tab has one of its own. */
export interface Ticket {
  readonly sid: string;
  readonly token: Uint8Array;
  readonly key: SessionKey;
}

/**
 * Resume on *connection* what *ticket* stands for; null when the hub knows no such session any
 * more, or its time is over: then only a login helps, under a challenge that must be asked for.
 *
 * *onReply* runs before any push of the resumed subscriptions. Throws Refused, RequestError,
 * ConnectionClosed.
 */
export async function resume(
  connection: Connection,
  ticket: Ticket,
  place: Place,
  subs: readonly ResumeSub[],
  onReply: (reply: ResumeReply) => void,
): Promise<ResumeReply | null> {
  const challenge = await connection.challenge;
  checkChallenge(challenge, place);
  const { domain, uri, nonce, limits } = challenge;
  const proof = await ticket.key.proveResume({ domain, uri, sid: ticket.sid, nonce });
  const told = limits["frame_before_login_bytes_max"];
  const bytesMax = typeof told === "number" ? told : FRAME_BYTES_MAX;
  const body = { token: ticket.token, proof, subs: fitting(subs, bytesMax - FRAME_BYTES_KEPT) };
  try {
    return await connection.request(RequestType.RESUME, body, onReply);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const gone: number[] = [ErrorCode.RESUME_UNKNOWN, ErrorCode.RESUME_EXPIRED];
    if (!gone.includes(error.code)) throw error;
    return null;
  }
}

/** As many as fit in *bytes*; the others are subscribed to again, from where they are. */
function fitting(subs: readonly ResumeSub[], bytes: number): ResumeSub[] {
  let left = bytes;
  return subs.filter((sub) => {
    const size = 32 + sub.channel.length + 34 * (sub.wallets?.length ?? 0);
    if (size > left) return false;
    left -= size;
    return true;
  });
}
