import assert from "node:assert/strict";
import { test } from "node:test";
import { followed, type Change, type Region } from "../src/region";

/** text: with the region in «». expected: the same after the changes, undefined where they were in the region. */
function check(
  text: string,
  changes: readonly (readonly [at: number, length: number, by: string])[],
  expected?: string,
): void {
  const [before = "", inside = "", behind = ""] = text.split(/[«»]/);
  const region: Region = { start: before.length, end: before.length + inside.length, text: inside };
  let after = before + inside + behind;
  const told: Change[] = changes.map(([rangeOffset, rangeLength, by]) => ({ rangeOffset, rangeLength, text: by }));
  for (const { rangeOffset, rangeLength, text: by } of told) {
    after = after.slice(0, rangeOffset) + by + after.slice(rangeOffset + rangeLength);
  }
  const found = followed(region, told, after);
  const marked =
    found && `${after.slice(0, found.start)}«${after.slice(found.start, found.end)}»${after.slice(found.end)}`;
  assert.equal(marked, expected);
}

test("edits before a region move it, edits behind it do not", () => {
  check("ab«cd»ef", [[0, 1, "xyz"]], "xyzb«cd»ef");
  check("ab«cd»ef", [[0, 2, ""]], "«cd»ef");
  check("ab«cd»ef", [[4, 2, "xyz"]], "ab«cd»xyz");
  check(
    "ab«cd»ef",
    [
      [5, 1, "long"],
      [1, 0, "\n"],
    ],
    "a\nb«cd»elong",
  );
});

test("what is typed at its edges is not in it", () => {
  check("ab«cd»ef", [[2, 0, "x"]], "abx«cd»ef");
  check("ab«cd»ef", [[4, 0, "x"]], "ab«cd»xef");
});

test("an edit in it makes it void, also one that leaves it as long", () => {
  check("ab«cd»ef", [[3, 0, "x"]]);
  check("ab«cd»ef", [[2, 1, "x"]]);
  check("ab«cd»ef", [[1, 2, ""]]);
  check("ab«cd»ef", [[3, 2, ""]]);
  check("ab«cd»ef", [[0, 6, "abcdef"]]);
});
