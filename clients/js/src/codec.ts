/**
 * Frames: msgpack arrays. Request `[type, id, body]`, reply `[type | 0x40, id, body]`, error reply
 * `[0x7F, id, [code, retryAfterMs, detail]]`, push `[type, sub, offset, body]`.
 */

import { Decoder, Encoder } from "@msgpack/msgpack";

import { LocalProtocolError, RemoteProtocolError } from "./errors.js";
import {
  ERROR_BODY, PUSHES, REQUESTS,
  type ErrorBody, type Pushes, type Requests,
} from "./messages.js";
import { ShapeError } from "./shapes.js";
import {
  CloseCode, ERROR_REPLY, INTEGER_MAX, PUSH_TYPE_MAX, PUSH_TYPE_MIN, REPLY_BIT,
} from "./tables.js";

const FRAME_BYTES_MAX = 1 << 20;
const ITEMS_MAX = 4_096;
const DEPTH_MAX = 8;
const UINT32_MAX = 2 ** 32 - 1;

export type RequestKind = keyof Requests;
export type PushKind = keyof Pushes;

/** The answer to a request; its body is untyped until the request is known. */
export interface ReplyFrame {
  readonly kind: "reply";
  readonly type: number;
  readonly id: number;
  readonly body: unknown;
}

/** The refusal of a request. */
export interface ErrorFrame {
  readonly kind: "error";
  readonly id: number;
  readonly error: ErrorBody;
}

/** A message that nobody asked for just now, typed by its type. */
export type PushFrame = {
  [T in PushKind]: {
    readonly kind: "push";
    readonly type: T;
    readonly sub: number;
    readonly offset: number;
    readonly body: Pushes[T];
  };
}[PushKind];

export type Answer = ReplyFrame | ErrorFrame | PushFrame;

const encoder = new Encoder();

/** Build a request frame; LocalProtocolError when the body doesn't fit its type. */
export function encodeRequest<T extends RequestKind>(
  type: T,
  id: number,
  body: Requests[T]["request"],
): Uint8Array {
  return encoder.encode([type, id, writeBody(type, body)]).slice();
}

function writeBody<T extends RequestKind>(type: T, body: Requests[T]["request"]): unknown {
  try {
    return REQUESTS[type].request.write(body, "");
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new LocalProtocolError(error.message, { cause: error });
  }
}

/**
 * Read a frame from the hub: null for a push type that this version doesn't know.
 *
 * Throws RemoteProtocolError (4500) when the frame can't be read.
 */
export function decodeAnswer(frame: Uint8Array): Answer | null {
  const [type, second, third, fourth] = readEnvelope(frame);
  try {
    if (type === ERROR_REPLY) {
      return { kind: "error", id: second, error: ERROR_BODY.read(third, "error") };
    }
    if (type < PUSH_TYPE_MIN) {
      return { kind: "reply", type: type & ~REPLY_BIT, id: second, body: third };
    }
    if (!(type in PUSHES)) return null;
    if (!Number.isSafeInteger(third) || (third as number) < 0) {
      throw new ShapeError("offset", `a whole number from 0 to ${INTEGER_MAX}`);
    }
    const body = PUSHES[type as PushKind].read(fourth, "push");
    return { kind: "push", type, sub: second, offset: third, body } as PushFrame;
  } catch (error) {
    throw unreadable(error);
  }
}

/** Read a reply's body by the type of its request; RemoteProtocolError when it is bad. */
export function decodeReplyBody<T extends RequestKind>(
  type: T,
  body: unknown,
): Requests[T]["reply"] {
  try {
    return REQUESTS[type].reply.read(body, "reply");
  } catch (error) {
    throw unreadable(error);
  }
}

type Envelope = readonly [type: number, second: number, third: unknown, fourth: unknown];

function readEnvelope(frame: Uint8Array): Envelope {
  const value = decodeValue(frame);
  if (!Array.isArray(value) || value.length < 3) throw unreadable("not an envelope");
  const [type, second, third, fourth = null] = value as unknown[];
  const typed = Number.isInteger(type) && (type as number) >= REPLY_BIT;
  if (!typed || (type as number) > PUSH_TYPE_MAX) throw unreadable(`type ${String(type)}`);
  if (!Number.isInteger(second) || (second as number) < 0 || (second as number) > UINT32_MAX) {
    throw unreadable("the second element is not a uint32");
  }
  return [type as number, second as number, third, fourth];
}

/** Decode one msgpack value, with bounds on size, depth and items, and no key twice in a map. */
function decodeValue(frame: Uint8Array): unknown {
  if (frame.length > FRAME_BYTES_MAX) throw unreadable(`a frame of ${frame.length} bytes`);
  let keysRead = 0;
  const decoder = new Decoder({
    maxArrayLength: ITEMS_MAX,
    maxMapLength: ITEMS_MAX,
    mapKeyConverter: (key) => {
      if (typeof key !== "string") throw new TypeError("a map's key is not a text");
      keysRead += 1;
      return key;
    },
  });
  let value: unknown;
  try {
    value = decoder.decode(frame);
  } catch (error) {
    throw unreadable(error);
  }
  if (countKeys(value, 0) !== keysRead) throw unreadable("a map has the same key twice");
  return value;
}

function countKeys(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return 0;
  if (depth >= DEPTH_MAX) throw unreadable(`nested deeper than ${DEPTH_MAX}`);
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce<number>((sum, item) => sum + countKeys(item, depth + 1), own);
}

function unreadable(cause: unknown): RemoteProtocolError {
  if (cause instanceof RemoteProtocolError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new RemoteProtocolError(CloseCode.PROTOCOL_ERROR, `unreadable message: ${why}`);
}
