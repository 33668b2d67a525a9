/** One connection to a hub: a WebSocket and the session machine behind it. */

import type { PushFrame, RequestKind } from "./codec.js";
import { ConnectionClosed, LocalProtocolError, RemoteProtocolError } from "./errors.js";
import type { Challenge, Requests } from "./messages.js";
import { SessionMachine } from "./session-machine.js";
import { CloseCode, SUBPROTOCOL_MSGPACK } from "./tables.js";
import type { WebSocketClass, WebSocketLike } from "./web-socket.js";

type PushReader = (push: PushFrame) => void;

interface Pending {
  readonly onReply: (body: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Connection {
  /** Resolves with why it closed; never rejects. */
  readonly closed: Promise<ConnectionClosed>;
  /** Resolves with the hub's first frame; rejects when the connection closes before. */
  readonly challenge: Promise<Challenge>;
  /** Gets each push that belongs to no subscription. */
  onPush: PushReader = () => {};

  private readonly machine = new SessionMachine();
  private readonly socket: WebSocketLike;
  private readonly pending = new Map<number, Pending>();
  private readonly readers = new Map<number, PushReader>();
  private fault: RemoteProtocolError | null = null;
  private resolveClosed!: (why: ConnectionClosed) => void;
  private resolveChallenge!: (challenge: Challenge) => void;
  private rejectChallenge!: (error: Error) => void;

  constructor(webSocket: WebSocketClass, url: string) {
    this.closed = new Promise((resolve) => (this.resolveClosed = resolve));
    this.challenge = new Promise((resolve, reject) => {
      this.resolveChallenge = resolve;
      this.rejectChallenge = reject;
    });
    this.challenge.catch(() => {}); // Who waits for it gets the error; nobody need wait.
    this.socket = new webSocket(url, [SUBPROTOCOL_MSGPACK]);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", (event) => this.receive(event.data));
    this.socket.addEventListener("close", (event) => this.lost(event.code, event.reason));
    this.socket.addEventListener("error", () => {}); // A close follows, and says all there is.
  }

  get open(): boolean {
    return this.machine.state === "open";
  }

  /**
   * Send a request and wait for its reply.
   *
   * *onReply* runs at once when the reply is read, before any push behind it: register there what
   * those pushes belong to. Rejects with RequestError or ConnectionClosed.
   */
  async request<T extends RequestKind>(
    type: T,
    body: Requests[T]["request"],
    onReply: (reply: Requests[T]["reply"]) => void = () => {},
  ): Promise<Requests[T]["reply"]> {
    if (this.machine.state === "closed") throw await this.closed;
    const { id, frame } = this.machine.request(type, body);
    return new Promise((resolve, reject) => {
      const accept = (reply: unknown): void => {
        onReply(reply as Requests[T]["reply"]);
        resolve(reply as Requests[T]["reply"]);
      };
      this.pending.set(id, { onReply: accept, reject });
      this.socket.send(frame);
    });
  }

  /** Give *reader* the pushes of subscription *sub*. */
  route(sub: number, reader: PushReader): void {
    this.readers.set(sub, reader);
  }

  unroute(sub: number): void {
    this.readers.delete(sub);
  }

  close(code = 1000, reason = ""): void {
    this.socket.close(code, reason);
    // A peer that stands still answers no close frame: the wait for it is not ours.
    this.lost(code, reason);
  }

  private receive(data: unknown): void {
    if (this.machine.state === "closed") return;
    try {
      if (!(data instanceof ArrayBuffer)) {
        throw new RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a text frame");
      }
      this.read(new Uint8Array(data));
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.fault = error;
      this.close(error.code, "protocol_error");
    }
  }

  private read(frame: Uint8Array): void {
    const event = this.machine.receive(frame);
    if (event === null) return;
    switch (event.kind) {
      case "challenge":
        return this.resolveChallenge(event.challenge);
      case "push":
        return (this.readers.get(event.sub) ?? this.onPush)(event);
      case "reply":
        return this.takePending(event.id).onReply(event.body);
      case "refused":
        return this.takePending(event.id).reject(event.error);
    }
  }

  private takePending(id: number): Pending {
    const pending = this.pending.get(id);
    if (!pending) throw new LocalProtocolError(`nobody waits for answer ${id}`);
    this.pending.delete(id);
    return pending;
  }

  private lost(code: number, reason: string): void {
    if (this.machine.state === "closed") return;
    this.machine.close();
    const why = new ConnectionClosed(code, reason);
    if (this.fault) why.cause = this.fault;
    for (const { reject } of this.pending.values()) reject(why);
    this.pending.clear();
    this.readers.clear();
    this.rejectChallenge(this.fault ?? why);
    this.resolveClosed(why);
  }
}
