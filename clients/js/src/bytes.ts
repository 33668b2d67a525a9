/** Bytes in the forms that wallets and people use. */

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function toHex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Bytes of lower-case hex; null for any other text. */
export function parseHex(text: string): Uint8Array | null {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) return null;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Bytes of base64 in its one form, padding included; null for any other text. */
export function parseBase64(text: string): Uint8Array | null {
  try {
    const letters = atob(text);
    if (btoa(letters) !== text) return null;
    return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Bytes of 'A' + high nibble, 'A' + low nibble, as Qubic's sign pages show; null otherwise. */
export function parseShiftedHex(text: string): Uint8Array | null {
  if (!/^(?:[A-P]{2})*$/i.test(text)) return null;
  const nibble = (letter: string | undefined): number => (letter ?? "A").charCodeAt(0) - 65;
  return Uint8Array.from(
    text.toUpperCase().match(/../g) ?? [],
    (pair) => (nibble(pair[0]) << 4) | nibble(pair[1]),
  );
}
