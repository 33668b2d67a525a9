/**
 * Identities: 60 capital letters for people, 32-byte public keys inside.
 *
 * The last four letters are a checksum by KangarooTwelve, which this package doesn't carry: it
 * checks the first 56 against the key, and the hub checks all 60 in the login text it builds.
 */

import { LocalProtocolError } from "./errors.js";

const IDENTITY = /^[A-Z]{60}$/;
const WORDS = 4;
const WORD_BYTES = 8;
const WORD_LETTERS = 14;
const ALPHABET = 26n;
const WORD_MAX = 2n ** 64n - 1n;

/** The public key in an identity's first 56 letters; throws LocalProtocolError for another form. */
export function publicKeyOf(identity: string): Uint8Array {
  if (!IDENTITY.test(identity)) throw new LocalProtocolError("an identity has 60 letters A to Z");
  const key = new Uint8Array(WORDS * WORD_BYTES);
  const view = new DataView(key.buffer);
  for (let word = 0; word < WORDS; word += 1) {
    const letters = identity.slice(word * WORD_LETTERS, (word + 1) * WORD_LETTERS);
    view.setBigUint64(word * WORD_BYTES, wordOf(letters), true);
  }
  return key;
}

function wordOf(letters: string): bigint {
  let word = 0n;
  for (const letter of [...letters].reverse()) {
    word = word * ALPHABET + BigInt(letter.charCodeAt(0) - 65);
  }
  // Other libraries wrap around here, so that two texts name one key.
  if (word > WORD_MAX) {
    throw new LocalProtocolError(`the letters ${letters} of an identity stand for more than 64 bits`);
  }
  return word;
}
