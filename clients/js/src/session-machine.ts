/**
 * The client's end of one connection, without I/O: feed it frames, send what it makes.
 */

import {
  decodeAnswer, decodeReplyBody, encodeRequest,
  type PushFrame, type RequestKind,
} from "./codec.js";
import { LocalProtocolError, RemoteProtocolError, RequestError } from "./errors.js";
import type { Challenge, Requests } from "./messages.js";
import { CloseCode, PushType, RequestType } from "./tables.js";

export type SessionState = "connecting" | "challenged" | "open" | "closed";
type Happening = "challenge" | "login" | "close";

/** Every move of the session; a happening that has no row in its state breaks the protocol. */
const MOVES: Readonly<Record<SessionState, Partial<Record<Happening, SessionState>>>> = {
  connecting: { challenge: "challenged", close: "closed" },
  challenged: { challenge: "challenged", login: "open", close: "closed" },
  open: { challenge: "open", login: "open", close: "closed" }, // For a refresh.
  closed: { close: "closed" },
};
const BEFORE_LOGIN: ReadonlySet<number> = new Set([
  RequestType.CHALLENGE, RequestType.LOGIN, RequestType.RESUME,
]);
const LOGINS: ReadonlySet<number> = new Set([
  RequestType.LOGIN, RequestType.RESUME, RequestType.REFRESH,
]);
/** Requests that wait for an answer, unless the challenge's limits name fewer. */
const IN_FLIGHT_MAX = 32;
const ID_MAX = 2 ** 32 - 1;

/** What a frame from the hub meant. */
export type SessionEvent =
  /** Emitted when the hub's first frame arrives: what to sign. */
  | { readonly kind: "challenge"; readonly challenge: Challenge }
  /** Emitted when request `id` is answered. */
  | { readonly kind: "reply"; readonly id: number; readonly body: unknown }
  /** Emitted when request `id` is refused. */
  | { readonly kind: "refused"; readonly id: number; readonly error: RequestError }
  /** Emitted when the hub says something that nobody asked for just now. */
  | PushFrame;

export class SessionMachine {
  state: SessionState = "connecting";
  private lastId = 0;
  private inFlightMax = IN_FLIGHT_MAX;
  private readonly inFlight = new Map<number, RequestKind>();

  /** Make a request's frame; LocalProtocolError when it isn't allowed now. */
  request<T extends RequestKind>(
    type: T,
    body: Requests[T]["request"],
  ): { readonly id: number; readonly frame: Uint8Array } {
    this.requireAllowed(type);
    do {
      this.lastId = this.lastId >= ID_MAX ? 1 : this.lastId + 1;
    } while (this.inFlight.has(this.lastId));
    const frame = encodeRequest(type, this.lastId, body);
    this.inFlight.set(this.lastId, type);
    return { id: this.lastId, frame };
  }

  /** Read one frame: null for what this version doesn't know. Throws RemoteProtocolError. */
  receive(frame: Uint8Array): SessionEvent | null {
    const answer = decodeAnswer(frame);
    if (this.state === "connecting" && !(answer?.kind === "push" && isChallenge(answer))) {
      throw new RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "the first frame is no challenge");
    }
    if (answer === null) return null;
    if (answer.kind === "push") {
      if (!isChallenge(answer)) return answer;
      this.move("challenge");
      const told = answer.body.limits["in_flight_max"];
      if (typeof told === "number" && told > 0) this.inFlightMax = Math.min(told, IN_FLIGHT_MAX);
      return { kind: "challenge", challenge: answer.body };
    }
    const type = this.take(answer.id);
    if (answer.kind === "error") {
      return { kind: "refused", id: answer.id, error: RequestError.from(answer.error) };
    }
    if (answer.type !== type) {
      throw new RemoteProtocolError(
        CloseCode.PROTOCOL_ERROR,
        `request ${answer.id} has type ${type}, its reply ${answer.type}`,
      );
    }
    const body = decodeReplyBody(type, answer.body);
    if (LOGINS.has(type)) this.move("login");
    if (type === RequestType.CHALLENGE) this.move("challenge");
    return { kind: "reply", id: answer.id, body };
  }

  /** The connection is gone; returns the ids that get no answer any more. */
  close(): number[] {
    this.state = "closed";
    const lost = [...this.inFlight.keys()];
    this.inFlight.clear();
    return lost;
  }

  private requireAllowed(type: RequestKind): void {
    const allowed = this.state === "open" || (this.state === "challenged" && BEFORE_LOGIN.has(type));
    if (!allowed) throw new LocalProtocolError(`no request of type ${type} while ${this.state}`);
    if (this.inFlight.size >= this.inFlightMax) {
      throw new LocalProtocolError(`${this.inFlightMax} requests wait for an answer; await some`);
    }
  }

  private take(id: number): RequestKind {
    const type = this.inFlight.get(id);
    if (type === undefined) {
      throw new RemoteProtocolError(CloseCode.PROTOCOL_ERROR, `nobody waits for answer ${id}`);
    }
    this.inFlight.delete(id);
    return type;
  }

  private move(happening: Happening): void {
    const following = MOVES[this.state][happening];
    if (following === undefined) {
      throw new RemoteProtocolError(CloseCode.PROTOCOL_ERROR, `${happening} while ${this.state}`);
    }
    this.state = following;
  }
}

function isChallenge(
  push: PushFrame,
): push is Extract<PushFrame, { type: typeof PushType.CHALLENGE }> {
  return push.type === PushType.CHALLENGE;
}
