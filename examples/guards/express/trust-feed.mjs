/** What counts for wallets, pushed by the hub as server-sent events; bounded, and stale by itself. */

const STALE_AFTER_MS = 5_000; // The hub says each second that nothing is missing.
const PAUSE_MS = 500;
const WALLETS_MAX = 100_000;
const EVENT_LETTERS_MAX = 65_536;

export class TrustFeed {
  #known = new Map(); // identity -> {status, score}, or null while it is asked for
  #vouchedMs = -Infinity;
  #lastId = "";

  constructor(api, apiKey) {
    this.api = api;
    this.headers = { Authorization: `Bearer ${apiKey}` };
  }

  get isFresh() {
    return performance.now() - this.#vouchedMs < STALE_AFTER_MS;
  }

  /** What counts for a wallet now; null when nobody can tell, which must refuse. */
  async get(identity) {
    if (!this.isFresh) return null;
    const known = this.#known.get(identity);
    if (known) return known;
    this.#keep(identity, null);
    const answer = await fetch(`${this.api}/status/${identity}`, {
      headers: this.headers, signal: AbortSignal.timeout(5_000),
    }).catch(() => null);
    const told = answer?.ok ? await answer.json() : null;
    // A change that came meanwhile is newer than the answer.
    const pushed = this.#known.get(identity);
    if (pushed) return pushed;
    if (told === null || told.reason === "unavailable") {
      this.#known.delete(identity);
      return null;
    }
    const state = { status: told.status, score: told.trust_score };
    if (this.#known.has(identity)) this.#known.set(identity, state);
    return this.isFresh ? state : null;
  }

  /** Follow the hub for ever. */
  async follow() {
    for (;;) {
      try {
        await this.#read();
      } catch (error) {
        console.error(`trust feed: ${error.message}`);
      }
      await new Promise((resume) => setTimeout(resume, PAUSE_MS * (0.5 + Math.random())));
    }
  }

  async #read() {
    const headers = this.#lastId ? { ...this.headers, "Last-Event-ID": this.#lastId } : this.headers;
    const answer = await fetch(`${this.api}/trust/stream`, { headers });
    if (!answer.ok) throw new Error(`the hub answers ${answer.status}: ${await answer.text()}`);
    let text = "";
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const events = (text + piece).split("\n\n");
      text = events.pop();
      if (text.length > EVENT_LETTERS_MAX) throw new Error("an event without an end");
      for (const event of events) this.#take(event);
    }
  }

  #take(event) {
    const fields = Object.fromEntries(event.split("\n").map((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    }));
    const data = JSON.parse(fields.data);
    if (fields.event === "trust") {
      if (this.#known.has(data.wallet)) {
        this.#known.set(data.wallet, { status: data.status, score: data.trust_score });
      }
    } else if (fields.event === "checkpoint") {
      this.#vouchedMs = data.backbone_ok ? performance.now() : -Infinity;
    } else if (fields.event === "gap" || !data.recovered) {
      this.#known.clear(); // What was missed can't be had: every wallet is asked for again.
    }
    if (fields.id) this.#lastId = fields.id;
  }

  #keep(identity, state) {
    this.#known.set(identity, state);
    if (this.#known.size > WALLETS_MAX) this.#known.delete(this.#known.keys().next().value);
  }
}
