import assert from "node:assert/strict";
import { test } from "node:test";

import { SlowReader } from "./errors.js";
import { EventStream } from "./event-stream.js";

async function all<T>(stream: EventStream<T>): Promise<T[]> {
  const read: T[] = [];
  for await (const event of stream) read.push(event);
  return read;
}

test("events come in order, before and after the reader waits", async () => {
  const stream = new EventStream<number>(4);
  stream.push(1);
  const reading = all(stream);
  await Promise.resolve();
  stream.push(2);
  stream.push(3);
  stream.end();
  assert.deepEqual(await reading, [1, 2, 3]);
});

test("at its bound a latest stream keeps the newest", async () => {
  const stream = new EventStream<number>(1, { latest: true });
  for (const event of [1, 2, 3]) stream.push(event);
  stream.end();
  assert.deepEqual(await all(stream), [3]);
});

test("at its bound any other stream ends with SlowReader behind what waits", async () => {
  let left = 0;
  const stream = new EventStream<number>(2, { onLeave: () => (left += 1) });
  for (const event of [1, 2, 3, 4]) stream.push(event);
  assert.deepEqual([await stream.next(), await stream.next()].map(({ value }) => value), [1, 2]);
  await assert.rejects(stream.next(), SlowReader);
  assert.equal((await stream.next()).done, true);
  assert.equal(left, 1);
});

test("a failure reaches a reader that waits", async () => {
  const stream = new EventStream<number>(1);
  const waiting = stream.next();
  stream.fail(new Error("over"));
  await assert.rejects(waiting, /over/);
});

test("leaving tells the feeder once", async () => {
  let left = 0;
  const stream = new EventStream<number>(1, { onLeave: () => (left += 1) });
  stream.push(1);
  for await (const _ of stream) break;
  await stream.return();
  stream.push(2);
  assert.equal((await stream.next()).done, true);
  assert.equal(left, 1);
});
