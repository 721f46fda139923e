import assert from "node:assert/strict";
import { test } from "node:test";
import { outputOf } from "../src/install";
import { PROBE, pythonsToTry, searchPython } from "../src/python";

/** Pythons by name: what each prints for the probe. */
async function check(pythons: Record<string, string>, expected: string | RegExp, setting = ""): Promise<void> {
  const commands = pythonsToTry(setting, false);
  const search = await searchPython(commands, ([name = ""]) => Promise.resolve(pythons[name]));
  if (typeof expected === "string") {
    assert.deepEqual("python" in search ? search.python.command : search, [expected]);
  } else {
    assert.match("reason" in search ? search.reason : "", expected);
  }
}

test("the ordinary one is taken if it will do, else the newest that will", async () => {
  await check({ python3: "[3, 12, true]", "python3.13": "[3, 13, true]" }, "python3");
  await check({ python3: "[3, 9, true]", "python3.11": "[3, 11, true]", "python3.13": "[3, 13, true]" }, "python3.13");
});

test("the one of the setting is the only one that is tried", async () => {
  await check({ python3: "[3, 12, true]", mine: "[3, 11, true]" }, "mine", "mine");
  await check({ python3: "[3, 12, true]" }, /mine is none that runs.*midfill\.server\.python/, "mine");
});

test("why none will do is a sentence with the way out", async () => {
  await check({}, /needs Python 3\.11 or newer, and there is no Python on the PATH\. Install one/);
  await check({ python: "Python was not found; buy it in the store" }, /there is no Python/);
  await check({ python3: "[3, 9, true]", python: "[2, 7, false]" }, /python3 is 3\.9, python is 2\.7\. Install one/);
  await check(
    { python3: "[3, 11, false]" },
    /python3 \(3\.11\) cannot make environments.*install the package python3-venv/,
  );
});

test("a real Python answers the probe", async () => {
  assert.match((await outputOf(["python3", "-c", PROBE], 60_000)) ?? "", /^\[3, \d+, (true|false)\]\s*$/);
  assert.equal(await outputOf(["/no/such/python", "-c", PROBE], 60_000), undefined);
});
