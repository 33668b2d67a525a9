import assert from "node:assert/strict";
import { mock, test, type TestContext } from "node:test";

import { connect, type Session } from "./session.js";
import { CloseCode, RequestType } from "./tables.js";
import { FakeHub, HUB_URL, makeSigner } from "./testing/fake-hub.js";

const INTERVAL_MS = 15_000;

/** Let promises run, without any timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Wait for what the platform's cryptography does beside the loop. */
async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000; turn += 1) {
    if (condition()) return settle();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail("it never came");
}

async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  await settle();
}

async function open(context: TestContext, hub: FakeHub): Promise<Session> {
  const session = await connect(HUB_URL, makeSigner(), {
    webSocket: hub.webSocket, random: () => 0, pingIntervalMs: INTERVAL_MS,
  });
  await settle();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  context.after(async () => {
    mock.timers.reset();
    await session.close();
  });
  // The timers of the first connection began before time was held.
  hub.last.cut(1006);
  await settle();
  await pass(1);
  await until(() => hub.bodies(RequestType.RESUME).length === 1);
  return session;
}

/** A page that tests show and hide. */
function makePage(context: TestContext): { show(state: "visible" | "hidden"): void } {
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  Object.defineProperty(globalThis, "document", { value: page, configurable: true });
  context.after(() => Reflect.deleteProperty(globalThis, "document"));
  return {
    show(state) {
      page.visibilityState = state;
      page.dispatchEvent(new Event("visibilitychange"));
    },
  };
}

const pings = (hub: FakeHub): number => hub.bodies(RequestType.PING).length;

test("it asks every 15 s, and leaves a hub that misses two answers", async (context) => {
  const hub = new FakeHub();
  await open(context, hub);
  await pass(INTERVAL_MS);
  assert.equal(pings(hub), 1);
  hub.on(RequestType.PING, () => null);
  for (let turn = 0; turn < 3; turn += 1) {
    assert.equal(hub.last.closed, null);
    await pass(INTERVAL_MS);
  }
  assert.equal(hub.sockets[1]?.closed?.code, CloseCode.NO_PONG);
});

test("a page that is seen again asks at once, and resumes when no answer comes", async (context) => {
  const page = makePage(context);
  const hub = new FakeHub();
  await open(context, hub);
  page.show("hidden");
  await settle();
  assert.equal(pings(hub), 0);
  page.show("visible");
  await settle();
  assert.equal(pings(hub), 1);
  await pass(5_000);
  assert.equal(hub.sockets.length, 2);

  hub.on(RequestType.PING, () => null);
  page.show("visible");
  await pass(4_999);
  assert.equal(hub.last.closed, null);
  await pass(1);
  await pass(1);
  await until(() => hub.bodies(RequestType.RESUME).length === 2);
  assert.equal(hub.sockets[1]?.closed?.code, CloseCode.NO_PONG);
  assert.equal(hub.sockets.length, 3);
});

test("a turn that comes much too late asks once more instead of giving up", async (context) => {
  const hub = new FakeHub();
  await open(context, hub);
  const answer = ({ clientMs }: { clientMs: number }) => ({
    clientMs, serverMs: 1, heads: [], backboneOk: true,
  });
  hub.on(RequestType.PING, () => null);
  await pass(INTERVAL_MS);
  await pass(INTERVAL_MS);
  hub.on(RequestType.PING, answer);
  mock.timers.setTime(Date.now() + 3_600_000); // The lid was closed for an hour.
  await settle();
  await pass(INTERVAL_MS);
  assert.equal(hub.sockets.length, 2);
  assert.equal(hub.last.closed, null);
});

test("a page that is seen again while it waits tries at once", async (context) => {
  const page = makePage(context);
  const hub = new FakeHub();
  await open(context, hub);
  hub.last.cut(CloseCode.OVERLOADED, "overloaded;retry=60000");
  await settle();
  assert.equal(hub.sockets.length, 2);
  page.show("visible");
  await settle();
  assert.equal(hub.sockets.length, 3);
});
