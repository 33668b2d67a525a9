/** A signer for the example: the wallet's keys are in serve.py, as a user's are in their wallet. */

import { publicKeyOf, toHex } from "@qubic-realtime/client";

async function ask(path, question) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(question) });
  if (!answer.ok) throw new Error(`the wallet refused: ${answer.statusText}`);
  return answer.json();
}

function fromHex(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** The signer of one of the devnet's demo wallets, and somebody to pay. */
export async function demoWallet(wallet = 0) {
  const { identity, scheme, payee } = await ask("/wallet", { wallet });
  const signer = {
    identity,
    publicKey: publicKeyOf(identity),
    scheme,
    sign: async (text) => fromHex((await ask("/sign", { wallet, text })).hex),
    signTransaction: async (unsigned) =>
      fromHex((await ask("/sign-transaction", { wallet, hex: toHex(unsigned) })).hex),
  };
  return { signer, payee };
}
