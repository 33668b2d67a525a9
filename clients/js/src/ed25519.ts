/** Ed25519 checks: the platform's own where it has them, else those of @noble/ed25519. */

/** Whether the key signed the message, by RFC 8032; false for wrong lengths. */
export async function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const key = await importKey(publicKey);
  if (key !== null) {
    return crypto.subtle.verify("Ed25519", key, copy(signature), copy(message));
  }
  return verifyWithLibrary(publicKey, message, signature);
}

/** The check of browsers whose WebCrypto has no Ed25519; it is loaded only there. */
export async function verifyWithLibrary(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const library = await import("@noble/ed25519");
  // The looser rule of zip215 takes keys and points that RFC 8032 refuses.
  return library.verifyAsync(signature, message, publicKey, { zip215: false });
}

/** The key as WebCrypto's; null where that has no Ed25519 or refuses the key. */
async function importKey(publicKey: Uint8Array): Promise<CryptoKey | null> {
  try {
    return await crypto.subtle.importKey("raw", copy(publicKey), "Ed25519", false, ["verify"]);
  } catch {
    return null;
  }
}

/** WebCrypto's types refuse a view of memory that may be shared. */
function copy(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(data);
}
