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

export function qubicVectors(): QubicVectors {
  return readVectors("qubic.json") as QubicVectors;
}

export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(fileURLToPath(new URL(name, FOLDER)), "utf8"));
}
