import assert from "node:assert/strict";
import { test } from "node:test";

import { pauseMs } from "./reconnect.js";

test("pauses are spread below a bound that doubles up to 30 s", () => {
  const longest = () => 0.999_999;
  assert.deepEqual(
    [0, 1, 2, 7, 50].map((attempt) => pauseMs(attempt, longest)),
    [249, 499, 999, 29_999, 29_999],
  );
  assert.equal(pauseMs(3, () => 0), 0);
});

test("what the hub asks for is the least", () => {
  assert.equal(pauseMs(0, () => 0, 5_000), 5_000);
});
