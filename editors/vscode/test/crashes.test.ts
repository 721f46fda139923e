import assert from "node:assert/strict";
import { test } from "node:test";
import { CRASH_WINDOW_MS, FATAL_CRASH, judgeCrash, type Verdict } from "../src/crashes";

function verdictsOf(timesMs: readonly number[]): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const time of timesMs) {
    verdicts.push(judgeCrash(verdicts.at(-1)?.recent ?? [], time));
  }
  return verdicts;
}

test("of deaths in a row the first is told, and the last, after which the server stays down", () => {
  const verdicts = verdictsOf(Array.from({ length: FATAL_CRASH }, (_, index) => index * 1000));
  assert.deepEqual(
    verdicts.map(({ startAgain, tell }) => [startAgain, tell]),
    [[true, true], ...Array.from({ length: FATAL_CRASH - 2 }, () => [true, false]), [false, true]],
  );
});

test("a death long after another is a first one", () => {
  const verdicts = verdictsOf([0, CRASH_WINDOW_MS, 2 * CRASH_WINDOW_MS]);
  assert.ok(verdicts.every(({ startAgain, tell }) => startAgain && tell));
});
