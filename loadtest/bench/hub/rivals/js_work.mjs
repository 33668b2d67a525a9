/** The work of the JS rivals, by msgpackr: frames in, frames out. No guards and no signatures. */

import { readFileSync } from "node:fs";
import { Packr } from "msgpackr";

const LOGIN = 0x02;
export const SUBSCRIBE = 0x10;
const TRUST_GET = 0x12;
export const TRUST_SET = 0x38;
const REPLY_BIT = 0x40;
const TTL_MS = 86_400_000;
const KEY_BYTES = 32;
const WALLETS_MAX = 64;

const codec = new Packr({ useRecords: false, int64AsType: "number" });

export class Work {
  /** Read the work file. */
  constructor(path) {
    this.frames = new Map();
    this.wallets = new Map();
    for (const line of readFileSync(path, "utf8").split("\n").filter(Boolean)) {
      const [name, hex, ...numbers] = line.split(" ");
      const bytes = Buffer.from(hex, "hex");
      if (name === "wallet") this.wallets.set(bytes.toString("latin1"), numbers.map(Number));
      else this.frames.set(name, bytes);
    }
    this.challenge = this.frames.get("challenge");
    this.push = codec.unpack(this.frames.get("push"));
    this.readMs = Date.now();
    // A number above 2^32 would be written as a float.
    this.useUntilMs = BigInt(this.readMs + TTL_MS);
    this.canned = { [LOGIN]: "login", [SUBSCRIBE]: "subscribed", [TRUST_SET]: "published" };
  }

  /** Encode the push of the next fan-out, once for all. */
  nextPush() {
    this.push[2] += 1;
    const body = this.push[3].map((value) => (value > 0xffff_ffff ? BigInt(value) : value));
    return codec.pack([...this.push.slice(0, 3), body]);
  }

  /** Return [type, reply] for a request's frame. */
  answer(frame) {
    const [type, id, body] = codec.unpack(frame);
    if (type !== TRUST_GET) return [type, this.frames.get(this.canned[type])];
    if (body.length < 1 || body.length > WALLETS_MAX) throw new RangeError("1 to 64 wallets");
    const ageMs = Date.now() - this.readMs;
    const answers = body.map((key) => this.trustOf(key, ageMs));
    return [type, codec.pack([TRUST_GET | REPLY_BIT, id, answers])];
  }

  trustOf(key, ageMs) {
    if (key.length !== KEY_BYTES) throw new RangeError("a key has 32 bytes");
    const [status, score, seq, reason, tier] = this.wallets.get(key.toString("latin1"));
    return [status, score, seq, reason, tier, ageMs, this.useUntilMs];
  }
}
