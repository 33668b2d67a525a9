/**
 * A Signer is a wallet as this package sees it: it holds the keys, the package holds none.
 *
 * The three parsers read what Qubic wallets return for a signed text. Digests and check bytes in
 * those answers need KangarooTwelve and are left to the hub, which verifies the signature itself.
 */

import { parseBase64, parseHex, parseShiftedHex, sameBytes } from "./bytes.js";
import { Refused } from "./errors.js";
import { publicKeyOf } from "./identity.js";
import { Scheme } from "./tables.js";

const SIGNATURE_BYTES = 64;
const WALLETCONNECT_LINE = "Qubic Signed Message:\n";

/** The schemes in which wallets sign text. */
export type WalletScheme = typeof Scheme.WC | typeof Scheme.K12 | typeof Scheme.RAW;

export interface Signer {
  readonly publicKey: Uint8Array;
  /** The 60 letters of the public key. */
  readonly identity: string;
  /** How this wallet signs text. */
  readonly scheme: WalletScheme;
  /** Sign a login text and return the 64 bytes of the signature. */
  sign(text: string): Promise<Uint8Array>;
  /** Sign a transaction and return it whole: the bytes that were given, then the signature. */
  signTransaction?(unsigned: Uint8Array): Promise<Uint8Array>;
}

/** Refuse a signer whose letters and key name two wallets. */
export function checkSigner(signer: Signer): void {
  let key: Uint8Array;
  try {
    key = publicKeyOf(signer.identity);
  } catch (error) {
    throw new Refused("signer", `identity: ${(error as Error).message}`);
  }
  if (!sameBytes(key, signer.publicKey)) {
    throw new Refused("signer", "the signer's identity and public key are two wallets'");
  }
}

/**
 * Scheme wc: the mobile wallet's answer to `qubic_sign` over WalletConnect,
 * `{signedData, digest, signature}`, all base64; signedData repeats line, text and signature.
 */
export function parseWalletConnectAnswer(answer: unknown, text: string): Uint8Array {
  const signature = sized("signature", parseBase64(field(answer, "signature")));
  const signedData = parseBase64(field(answer, "signedData")) ?? refuse("signedData", "base64");
  const line = new TextEncoder().encode(WALLETCONNECT_LINE + text);
  if (!sameBytes(signedData, Uint8Array.of(...line, ...signature))) {
    refuse("signedData", "the text that was asked for and its signature");
  }
  return signature;
}

/** Scheme k12: the browser extension's answer to `signMessage`, `{signatureHex, digestHex}`. */
export function parseExtensionAnswer(answer: unknown): Uint8Array {
  return sized("signatureHex", parseHex(field(answer, "signatureHex")));
}

/**
 * `{identity, message, signature}` as sign-message pages show it, scheme raw (one page signs as
 * wc); the signature is 130 letters A to P: 64 bytes and one check byte.
 */
export function parseMessageAnswer(answer: unknown, text: string, identity: string): Uint8Array {
  if (field(answer, "identity") !== identity) refuse("identity", "the wallet that logs in");
  if (field(answer, "message") !== text) refuse("message", "the text that was asked for");
  const data = parseShiftedHex(field(answer, "signature"));
  if (data?.length !== SIGNATURE_BYTES + 1) refuse("signature", "130 letters A to P");
  return data.slice(0, SIGNATURE_BYTES);
}

function field(answer: unknown, name: string): string {
  const value: unknown = (answer as Record<string, unknown> | null | undefined)?.[name];
  return typeof value === "string" ? value : refuse(name, "a text");
}

function sized(name: string, data: Uint8Array | null): Uint8Array {
  return data?.length === SIGNATURE_BYTES ? data : refuse(name, `${SIGNATURE_BYTES} bytes`);
}

function refuse(name: string, expected: string): never {
  throw new Refused("wallet_answer", `${name} in the wallet's answer is not ${expected}`);
}
