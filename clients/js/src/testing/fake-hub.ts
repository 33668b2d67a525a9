/**
 * A hub in memory for tests: it speaks the protocol over a WebSocket without a network.
 *
 * Everyone may log in, and resume with the newest token; tests replace handlers, push messages, cut connections.
 */

import { decode, encode } from "@msgpack/msgpack";

import type { PushKind, RequestKind } from "../codec.js";
import { sameBytes } from "../bytes.js";
import {
  PUSHES, REQUESTS, type Challenge, type LoginReply, type Pushes, type Requests,
} from "../messages.js";
import type { Signer } from "../signer.js";
import {
  ERROR_REPLY, ErrorCode, REPLY_BIT, RequestType, ResumeOutcome, Scheme,
} from "../tables.js";
import type { WebSocketClass, WebSocketLike } from "../web-socket.js";

export const HUB_URL = "ws://hub.test:8080/v1";
export const KEY = Uint8Array.from({ length: 32 }, (_, at) => at + 1);
/** KEY's 60 letters; the last four are not checked in JS. */
export const IDENTITY = identityOf(KEY);
export const SIGNATURE = new Uint8Array(64).fill(7);

export class Refusal {
  constructor(
    readonly code: ErrorCode,
    readonly detail: Record<string, string | number> | null = null,
    readonly retryAfterMs: number | null = null,
  ) {}
}

type AnyHandler = (body: never, socket: FakeSocket) => unknown;
type Handler<T extends RequestKind> = (
  body: Requests[T]["request"],
  socket: FakeSocket,
) => Requests[T]["reply"] | Refusal | null;

export class FakeHub {
  readonly sockets: FakeSocket[] = [];
  readonly asked: { readonly type: number; readonly body: unknown }[] = [];
  challenge: Partial<Challenge> = {};
  /** What resumes the session now. */
  token: Uint8Array | null = null;
  private tokensMade = 0;
  private readonly handlers = new Map<number, AnyHandler>();

  constructor() {
    this.on(RequestType.CHALLENGE, ({ ttlMs }) => makeChallenge({ expiresMs: 1_000_000 + ttlMs }));
    const logIn = (): LoginReply => ({
      sid: "sid", resumeToken: this.nextToken(), resumeTtlMs: 120_000, sessionExpMs: 9_000_000,
      trust: null, scopes: ["trust", "quote", "pay"],
    });
    this.on(RequestType.LOGIN, logIn);
    this.on(RequestType.REFRESH, logIn);
    this.on(RequestType.RESUME, ({ token, subs }) => {
      if (!this.token || !sameBytes(token, this.token)) {
        return new Refusal(ErrorCode.RESUME_UNKNOWN);
      }
      const resumed = subs.map(({ sub, epoch, offset }) => ({
        sub, outcome: ResumeOutcome.CAUGHT_UP, epoch, head: offset,
      }));
      return { sid: "sid", resumeToken: this.nextToken(), trust: null, subs: resumed };
    });
    this.on(RequestType.LOGOUT, () => ({}));
    this.on(RequestType.UNSUBSCRIBE, () => ({}));
    this.on(RequestType.QUOTE_CLOSE, () => ({}));
    this.on(RequestType.PING, ({ clientMs }) => ({
      clientMs, serverMs: 1, heads: [], backboneOk: true,
    }));
  }

  /** Forget the session: a resume is refused. */
  forgetSession(): void {
    this.token = null;
  }

  private nextToken(): Uint8Array {
    this.tokensMade += 1;
    this.token = new Uint8Array(32).fill(this.tokensMade);
    return this.token;
  }

  /** Answer requests of a type; null answers nothing. */
  on<T extends RequestKind>(type: T, handler: Handler<T>): void {
    this.handlers.set(type, handler);
  }

  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("nobody has connected");
    return socket;
  }

  /** Bodies of the requests of a type, in order. */
  bodies<T extends RequestKind>(type: T): Requests[T]["request"][] {
    return this.asked.filter((asked) => asked.type === type).map(({ body }) => body as never);
  }

  get webSocket(): WebSocketClass {
    const hub = this;
    return class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(hub, url, protocols);
      }
    };
  }

  answer(frame: Uint8Array, socket: FakeSocket): void {
    const [type, id, sent] = decode(frame) as [RequestKind, number, unknown];
    const body = REQUESTS[type].request.read(sent, "request");
    this.asked.push({ type, body });
    const handler = this.handlers.get(type);
    const reply = handler
      ? handler(body as never, socket)
      : new Refusal(ErrorCode.UNKNOWN_TYPE);
    if (reply === null) return;
    if (reply instanceof Refusal) {
      socket.deliver([ERROR_REPLY, id, [reply.code, reply.retryAfterMs, reply.detail]]);
      return;
    }
    socket.deliver([type | REPLY_BIT, id, REQUESTS[type].reply.write(reply as never, "reply")]);
  }
}

type Listener = (event: never) => void;

export class FakeSocket implements WebSocketLike {
  binaryType = "blob";
  closed: { readonly code: number; readonly reason: string } | null = null;
  private readonly listeners = new Map<string, Listener[]>();

  constructor(
    private readonly hub: FakeHub,
    readonly url: string,
    readonly protocols: string[],
  ) {
    hub.sockets.push(this);
    queueMicrotask(() => this.push(0x80, 0, 0, makeChallenge(hub.challenge)));
  }

  send(data: Uint8Array): void {
    if (!this.closed) queueMicrotask(() => this.hub.answer(data, this));
  }

  close(code = 1000, reason = ""): void {
    this.cut(code, reason);
  }

  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }

  push<T extends PushKind>(type: T, sub: number, offset: number, body: Pushes[T]): void {
    this.deliver([type, sub, offset, PUSHES[type].write(body as never, "push")]);
  }

  deliver(message: unknown): void {
    this.deliverBytes(encode(message));
  }

  deliverBytes(frame: Uint8Array): void {
    this.emit("message", { data: frame.slice().buffer });
  }

  /** Close it as the hub or the network does. */
  cut(code: number, reason = ""): void {
    if (this.closed) return;
    this.closed = { code, reason };
    this.emit("close", { code, reason });
  }

  private emit(type: string, event: unknown): void {
    for (const listener of this.listeners.get(type) ?? []) listener(event as never);
  }
}

export function makeChallenge(changes: Partial<Challenge> = {}): Challenge {
  return {
    nonce: "4fZk0pQ2v8sT1mYb6cHdNw", issuedMs: 1_000_000, expiresMs: 1_010_000,
    domain: "hub.test:8080", uri: HUB_URL, chain: "devnet", requestId: "01JD8Z3K9QX5W7",
    serverMs: 1_000_000, limits: {}, hubEpoch: new Uint8Array(8), ...changes,
  };
}

export function makeSigner(changes: Partial<Signer> = {}): Signer {
  return {
    publicKey: KEY, identity: IDENTITY, scheme: Scheme.WC,
    sign: async () => SIGNATURE,
    signTransaction: async (unsigned) => Uint8Array.of(...unsigned, ...SIGNATURE),
    ...changes,
  };
}

/** A plain transfer's unsigned bytes, with what a hostile hub may change. */
export function makeUnsigned(fields: {
  source?: Uint8Array; destination: Uint8Array; amountQu: number; tick: number;
  inputType?: number; payload?: Uint8Array;
}): Uint8Array {
  const payload = fields.payload ?? new Uint8Array();
  const data = new Uint8Array(80 + payload.length);
  const view = new DataView(data.buffer);
  data.set(fields.source ?? KEY, 0);
  data.set(fields.destination, 32);
  view.setBigInt64(64, BigInt(fields.amountQu), true);
  view.setUint32(72, fields.tick, true);
  view.setUint16(76, fields.inputType ?? 0, true);
  view.setUint16(78, payload.length, true);
  data.set(payload, 80);
  return data;
}

function identityOf(key: Uint8Array): string {
  const view = new DataView(key.buffer);
  let letters = "";
  for (let at = 0; at < 32; at += 8) {
    let word = view.getBigUint64(at, true);
    for (let count = 0; count < 14; count += 1, word /= 26n) {
      letters += String.fromCharCode(65 + Number(word % 26n));
    }
  }
  return `${letters}AAAA`;
}

/** Wait until *condition* holds; the event loop turns between looks, at most 1,000 times. */
export async function until(condition: () => boolean, what = "the condition"): Promise<void> {
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`never came: ${what}`);
}
