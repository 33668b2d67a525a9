/** The golden vectors that every implementation of the protocol reads. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../../../../protocol/vectors/", import.meta.url);

interface WalletAnswers {
  readonly identity: string;
  readonly message: string;
  readonly A_walletconnect_qubic_sign: Record<string, string>;
  readonly B_extension_signMessage: Record<string, string>;
  readonly C_raw_message_json: Record<string, string>;
  readonly D_prefixed_json: Record<string, string>;
}

interface QubicVectors {
  readonly keys: readonly { readonly identity: string; readonly public_key: string }[];
  readonly transactions: readonly Record<string, string | number>[];
  readonly wallet_messages: readonly WalletAnswers[];
}

export interface MessageVector {
  readonly name: string;
  readonly kind: "request" | "reply" | "push" | "error";
  readonly hex: string;
  readonly frame: unknown;
  readonly fields: unknown;
}

interface MessageVectors {
  readonly messages: readonly MessageVector[];
  /** Frames of a later version; same_as names the message that they read to, null: skipped. */
  readonly tolerated: readonly {
    readonly name: string;
    readonly hex: string;
    readonly same_as: string | null;
  }[];
}

export function messageVectors(): MessageVectors {
  return readVectors("messages.json") as MessageVectors;
}

export function qubicVectors(): QubicVectors {
  return readVectors("qubic.json") as QubicVectors;
}

function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(fileURLToPath(new URL(name, FOLDER)), "utf8"));
}
