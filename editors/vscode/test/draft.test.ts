import assert from "node:assert/strict";
import { test } from "node:test";
import { draftedIn } from "../src/draft";

test("a draft stands in place of the region, and what is not settled is known by its place", () => {
  const text = "def f():\r\n    return 1\r\n";
  const region = { start: 14, end: 22, text: "return 1" };
  const pieces = [
    { text: "x =\n    ", settled: true },
    { text: "░░", settled: false },
    { text: "𝒳", settled: true },
    { text: "░", settled: false },
  ];
  const drafted = draftedIn(text, region, pieces, "\r\n");
  assert.equal(drafted.text, "def f():\r\n    x =\r\n    ░░𝒳░\r\n");
  assert.deepEqual(
    drafted.unsettled.map(({ start, end }) => drafted.text.slice(start, end)),
    ["░░", "░"],
  );
  assert.equal(drafted.text.slice(drafted.drafted.start, drafted.drafted.end), "x =\r\n    ░░𝒳░");
});
