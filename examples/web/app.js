/** Log in, follow the wallet's trust, keep a quote fresh, pay: one page, no framework. */

import { PaymentState, TrustStatus, connect } from "@qubic-realtime/client";
import { demoWallet } from "./signer.js";

const AMOUNT_QU = 1_000;
const hub = new URLSearchParams(location.search).get("hub") ?? "ws://127.0.0.1:8080/v1";
const at = (id) => document.getElementById(id);
const show = (id, text) => (at(id).textContent = text);
const nameOf = (table, value) => Object.keys(table).find((name) => table[name] === value);

let session = null;
let wish = null;

async function followTrust() {
  for await (const event of await session.trust.subscribe()) {
    const trust = event.kind === "snapshot" ? event.wallets[0]?.trust : event.change;
    if (trust) show("trust", `${nameOf(TrustStatus, trust.status)}, score ${trust.score}`);
  }
}

async function followQuotes() {
  for await (const quote of session.quotes(wish)) {
    show("quote", `${quote.route?.kind ?? "no route"}, fee ${quote.feeQu} QU, ${quote.estMs} ms`);
  }
}

/** The session tells of its end itself; a stream that ends with it adds nothing. */
const untilTheEnd = (stream) => stream.catch(() => {});

function setOpen(open) {
  at("connect").disabled = open;
  at("pay").disabled = at("leave").disabled = !open;
}

async function logIn() {
  at("connect").disabled = true;
  show("session", "logging in");
  try {
    const { signer, payee } = await demoWallet();
    wish = { destination: payee, amountQu: AMOUNT_QU };
    session = await connect(hub, signer);
  } catch (error) {
    setOpen(false);
    show("session", error.message);
    return;
  }
  setOpen(true);
  show("session", `open as ${session.login.sid}`);
  session.on("reconnecting", ({ why }) => show("session", `lost (${why.message}), coming back`));
  session.on("reconnected", () => show("session", `open as ${session.login.sid}`));
  session.on("closed", ({ why }) => {
    setOpen(false);
    show("session", why ? `closed: ${why.message}` : "closed");
  });
  untilTheEnd(followTrust());
  untilTheEnd(followQuotes());
}

async function pay() {
  at("pay").disabled = true;
  try {
    const payment = await session.pay(wish);
    for await (const { state, tick } of payment) {
      show("payment", `${nameOf(PaymentState, state)} for tick ${tick}`);
    }
  } catch (error) {
    show("payment", error.message);
  } finally {
    at("pay").disabled = at("leave").disabled;
  }
}

at("connect").addEventListener("click", logIn);
at("pay").addEventListener("click", pay);
at("leave").addEventListener("click", () => session.close());
