/**
 * One wallet's story against a live hub: log in, read and follow trust, take a quote, pay, watch it
 * settle, be blocked. Prints one JSON line an event; the caller judges them.
 *
 *   node live-hub.mjs URL PAYEE AMOUNT_QU SIGNER_COMMAND...
 *
 * The signer is a child process that answers JSON lines (tests/e2e/wallet_process.py): this client
 * holds no keys. After "waiting for the block" an administrator has to block the wallet.
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import {
  ConnectionClosed, PaymentState, RequestError, TrustStatus, connect, publicKeyOf, toHex,
} from "../dist/index.js";

const [url, payee, amountQu, ...signerCommand] = process.argv.slice(2);

function tell(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, at_ms: performance.now(), ...fields })}\n`);
}

/** A signer whose keys lie in another process: one request at a time, answers in order. */
async function startSigner([program, ...options]) {
  const child = spawn(program, options, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => JSON.parse((await lines.next()).value);
  const ask = async (request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { hex, error } = await answer();
    if (error) throw new Error(`the wallet refused: ${error}`);
    return Uint8Array.from(Buffer.from(hex, "hex"));
  };
  const { identity, scheme } = await answer();
  return {
    signer: {
      identity,
      publicKey: publicKeyOf(identity),
      scheme,
      sign: (text) => ask({ sign_text: text }),
      signTransaction: (unsigned) => ask({ sign_transaction: toHex(unsigned) }),
    },
    stop: () => child.stdin.end(),
  };
}

async function payAndFollow(session, wish) {
  const began = performance.now();
  const payment = await session.pay(wish);
  tell("accepted", { payment_id: toHex(payment.id), took_ms: performance.now() - began });
  for await (const { state, tick, txid } of payment) {
    tell("payment", { state, tick, txid: toHex(txid) });
  }
  const { state } = await payment.end();
  tell("ended", { state, settled: state === PaymentState.SETTLED });
}

async function untilBlocked(events) {
  try {
    for await (const event of events) {
      if (event.kind === "snapshot") tell("snapshot", { wallets: event.wallets.length });
      if (event.kind !== "changed") continue;
      const { status, pending } = event.change;
      tell("changed", { status, pending, blocked: status === TrustStatus.BLOCKED });
    }
  } catch (error) {
    if (!(error instanceof ConnectionClosed)) throw error;
    tell("closed", { code: error.code, retry: error.retry });
  }
}

async function main() {
  const { signer, stop } = await startSigner(signerCommand);
  try {
    const session = await connect(url, signer);
    tell("open", { sid: session.login.sid, scopes: session.login.scopes });

    const [trust] = await session.trust.get([signer.publicKey]);
    tell("trust", { status: trust.status, score: trust.score });
    const events = await session.trust.subscribe();

    const wish = { destination: payee, amountQu: Number(amountQu) };
    for await (const quote of session.quotes(wish)) {
      tell("quote", { kind: quote.route?.kind, fee_qu: quote.feeQu, executable: quote.executable });
      break;
    }
    await payAndFollow(session, wish);

    const refusal = await session.trust.get([]).catch((error) => error);
    tell("misuse", { name: refusal.name });
    const unknown = await session.payment(new Uint8Array(16)).catch((error) => error);
    tell("refused", { code: unknown.code, is_request_error: unknown instanceof RequestError });

    tell("waiting for the block");
    await untilBlocked(events);
    const again = await connect(url, signer).catch((error) => error);
    tell("login again", { code: again.code });
  } finally {
    stop();
  }
}

await main();
