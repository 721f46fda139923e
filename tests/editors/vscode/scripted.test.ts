/** What a person does in VS Code, with a model whose answers are known beforehand. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { unlessMissing } from "./host";
import { VSCode } from "./vscode";

const HOLES = `def area(width, height):
    return <fill>  # expect: width * height


def perimeter(width, height):
    return <fill>  # expect: 2 * (width + height)


def ratio(width, height):
    return <fill>  # expect: width / height
`;
const SELECTED = "def total(items):\n    return sum(items)  # expect: filled(items)\n";
const NOTEBOOK = {
  cells: ["items = [1, 2]\n", "  # expect: sum(items)\n"].map((source) => ({
    cell_type: "code",
    execution_count: null,
    metadata: {},
    outputs: [],
    source: [source],
  })),
  metadata: { language_info: { name: "python" } },
  nbformat: 4,
  nbformat_minor: 2,
};
const FILES = {
  "typing.py": "def total(items, others):\n      # expect: items + others\n",
  "cycling.py": "def total(items):\n    return \n",
  "ticked.py": HOLES,
  "discarded.py": HOLES.replaceAll("\n", "\r\n"),
  "changed.py": HOLES,
  "key.py": SELECTED,
  "palette.py": SELECTED,
  "lightbulb.py": SELECTED,
  "locked.py": HOLES,
  "paused.py": "value = \n",
  "resident.py": "value = \nother = \n",
  "server.py": "value = \nother = \n",
  "reloaded.py": "value = \n",
  "cells.ipynb": JSON.stringify(NOTEBOOK),
};

async function fillFromLightbulb(vscode: VSCode): Promise<void> {
  await vscode.openLightbulb();
  await vscode.picture("lightbulb");
  await vscode.chooseAction(/Fill the selection/);
}

describe("VS Code", unlessMissing(), () => {
  let vscode: VSCode;

  before(async () => {
    vscode = await VSCode.start({
      files: FILES,
      settings: { "files.readonlyInclude": { "**/locked.py": true } },
    });
    await vscode.untilStatus(/ready/);
  });
  after(() => vscode.stop());

  test("ghost text appears, is typed through, accepted by word and whole", async () => {
    await vscode.goTo(2, 5);
    await vscode.type("return ");
    assert.equal(await vscode.ghostText(), "items + others");
    await vscode.type("it");
    assert.equal(await vscode.ghostText(), "ems + others");
    await vscode.press("Control+ArrowRight");
    assert.equal(await vscode.ghostText((text) => text.startsWith(" ")), " + others");
    await vscode.press("Tab");
    assert.equal(
      await vscode.saved("typing.py"),
      FILES["typing.py"].replace("      #", "    return items + others  #"),
    );
  });

  test("candidates of the ghost text are cycled through", async () => {
    await vscode.show("cycling.py");
    await vscode.goTo(2, 12);
    await vscode.palette("midfill: Next Candidate");
    assert.equal(await vscode.ghostText(), "filled_1");
    await vscode.press("Control+Alt+h", "n");
    assert.equal(await vscode.ghostText((text) => text !== "filled_1"), "filled_1_2");
    await vscode.picture("cycling");
    await vscode.press("Alt+[");
    assert.equal(await vscode.ghostText((text) => text !== "filled_1_2"), "filled_1");
    await vscode.press("Alt+]", "Tab");
    assert.equal(await vscode.saved("cycling.py"), "def total(items):\n    return filled_1_2\n");
  });

  test("of all holes filled, those that are ticked in the review are applied", async () => {
    await vscode.show("ticked.py");
    await vscode.press("Control+Alt+h", "a");
    await vscode.untilReviewed(3);
    await vscode.tick(/expect:\swidth\s\*/);
    await vscode.tick(/expect:\swidth\s\//);
    await vscode.picture("review");
    await vscode.clickInReview("Apply");
    assert.equal(
      await vscode.saved("ticked.py"),
      HOLES.replace("<fill>", "width * height").replace(/<fill>(?= {2}# expect: width \/)/, "width / height"),
    );
  });

  test("a review that is discarded changes no byte", async () => {
    await vscode.show("discarded.py");
    await vscode.palette("midfill: Fill All Holes");
    await vscode.untilReviewed(3);
    await vscode.clickInReview("Discard");
    await vscode.page.waitForSelector(".tab.active:not(.dirty)");
    assert.equal(await vscode.saved("discarded.py"), FILES["discarded.py"]);
    assert.deepEqual(await vscode.notices(), []);
  });

  test("a file that changes during its review is not filled halfway", async () => {
    await vscode.show("changed.py");
    await vscode.press("Control+Alt+h", "a");
    await vscode.untilReviewed(3);
    await vscode.focusEditor();
    await vscode.press("Control+Home");
    await vscode.type("#");
    await vscode.clickInReview("Apply");
    await vscode.page.waitForSelector(".monaco-dialog-box:has-text('has changed in the meantime')");
    await vscode.press("Enter");
    assert.equal(await vscode.saved("changed.py"), `#${HOLES}`);
    assert.deepEqual(await vscode.notices(), []);
  });

  for (const [way, fill] of [
    ["key", (one: VSCode) => one.press("Control+Alt+h", "s")],
    ["palette", (one: VSCode) => one.palette("midfill: Fill Selection", "palette")],
    ["lightbulb", (one: VSCode) => fillFromLightbulb(one)],
  ] as const) {
    test(`the selection is filled from the ${way}, and one undo takes it back`, async () => {
      const file = `${way}.py` as const;
      await vscode.show(file);
      await vscode.goTo(2, 12);
      await vscode.select("sum(items)".length);
      await fill(vscode);
      await vscode.untilText(/filled\(items\) {2}#/);
      assert.equal(await vscode.saved(file), SELECTED.replace("sum(items)", "filled(items)"));
      await vscode.press("Control+z");
      assert.equal(await vscode.saved(file), SELECTED);
    });
  }

  test("a read-only file is left alone, and the person is told", async () => {
    await vscode.show("locked.py");
    await vscode.press("Control+Alt+h", "a");
    assert.match(await vscode.untilNotice(/read-only/), /nothing was filled/);
    await vscode.clickInNotice("Make Writeable");
    await vscode.page.waitForSelector(".tab.active [aria-label$='Read-only']", { state: "hidden" });
    await vscode.press("Control+Alt+h", "a");
    await vscode.untilReviewed(3);
    await vscode.clickInReview("Discard");
    assert.equal(readFileSync(vscode.host.pathOf("locked.py"), "utf8"), HOLES);
  });

  test("paused, nothing is suggested; resumed, it is", async () => {
    await vscode.show("paused.py");
    await vscode.press("Control+Alt+h", "p");
    await vscode.untilStatus(/paused/i);
    await vscode.goTo(1, 9);
    await vscode.press("Space");
    await vscode.page.waitForTimeout(1500);
    assert.equal(await vscode.ghostTextNow(), "");
    await vscode.press("Control+Alt+h", "p");
    await vscode.untilStatus(/ready/);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
  });

  test("a cell of a notebook is completed", async () => {
    await vscode.clearNotices();
    await vscode.show("cells.ipynb", ".notebook-editor");
    await vscode.page.locator(".notebook-editor .cell .view-line", { hasText: "expect" }).click();
    await vscode.press("Home", "Home"); // the first goes to the first character that is no space
    await vscode.type("total = ");
    assert.equal(await vscode.ghostText(), "sum(items)");
    await vscode.picture("notebook");
    await vscode.press("Tab", "Control+s");
    const isSaved = (text: string): boolean => text.includes("total = sum(items)  # expect");
    const onDisk = (): Promise<string> => Promise.resolve(readFileSync(vscode.host.pathOf("cells.ipynb"), "utf8"));
    await vscode.until(onDisk, isSaved, "the cell on the disk");
  });

  test("killing the resident shows one notice, and the next completion works", async () => {
    await vscode.clearNotices();
    await vscode.show("resident.py");
    await vscode.goTo(1, 9);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
    const pid = await vscode.host.killResident();
    await vscode.goTo(2, 9);
    await vscode.press("Space");
    await vscode.untilNotice(/^The model stopped while it was answering; it is started again/);
    await vscode.expandNotice();
    await vscode.picture("resident");
    await vscode.focusEditor();
    await vscode.untilStatus(/ready/);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
    assert.notEqual((await vscode.host.health()).pid, pid);
    assert.equal((await vscode.notices()).length, 1);
  });

  test("killing the server shows one notice with the log at hand, and it goes on", async () => {
    await vscode.clearNotices();
    await vscode.show("server.py");
    await vscode.host.killServer();
    const told = await vscode.untilNotice(/stopped unexpectedly/);
    assert.match(told, /started again/);
    await vscode.untilStatus(/ready/);
    await vscode.goTo(1, 9);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
    await vscode.host.killServer();
    await vscode.untilStatus(/ready/);
    await vscode.goTo(2, 9);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
    assert.deepEqual(await vscode.notices(), [told]);
    await vscode.clickInNotice("Show Log");
    // That it is open is all that can be seen: code-server without its native modules writes no lines into logs.
    await vscode.until(
      () => vscode.openLogs(),
      (names) => names.includes("midfill"),
      "the log",
    );
  });

  test("the menu of the status bar item says what is the case and what can be done", async () => {
    const openMenu = async (): Promise<string> => {
      await vscode.press("Escape");
      await vscode.focusEditor(); // not the log, for which there is less to do
      await vscode.page.waitForTimeout(500); // the extension is told of it a moment later
      await vscode.page.locator(vscode.statusItem).click();
      await vscode.page.waitForSelector(".quick-input-title:has-text('ready')");
      return await vscode.page.locator(".quick-input-list").innerText();
    };
    await vscode.until(openMenu, (choices) => /Pause\sfor\spython/.test(choices), "the menu of a Python file");
    await vscode.picture("menu");
    await vscode.press("Escape");
  });

  test("a window that is loaded anew goes on", async () => {
    await vscode.open("reloaded.py");
    await vscode.untilStatus(/ready/);
    await vscode.goTo(1, 9);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
  });

  test("its keys belong to no other command", async () => {
    await vscode.palette("Preferences: Open Default Keyboard Shortcuts (JSON)");
    await vscode.page.waitForSelector(".tab.active:has-text('Default Keybindings')");
    const bound = [...(await vscode.wholeText()).matchAll(/"key": "([^"]*)",\s*"command": "([^"]*)"/g)];
    assert.ok(bound.length > 500, "these are all bindings");
    const ours = bound.filter(([, key]) => /^ctrl\+alt\+h( |$)/.test(key ?? ""));
    assert.ok(ours.length >= 6);
    assert.deepEqual(
      ours.filter(([, , command]) => command?.startsWith("midfill.ui.") !== true),
      [],
    );
  });
});
