/** A region written again in VS Code: seen settling, as a diff, accepted as one step or left byte for byte. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { unlessMissing } from "./host";
import { VSCode } from "./vscode";

const CLEVER = ["--verbs", "rename,docstring", "--instructions"];
const SLOW = ["--steps", "20", "--step-ms", "200"];
const TEXT = "def f(a):\n    b = a + 1  # 𝒳\n    return b\n\n\nx = f(1)\n";
const REGION = "b = a + 1  # 𝒳\n    return b";

function written(text: string, region = REGION): string {
  return TEXT.replace(region, text);
}

/** Open a file and select the body of its function. */
async function select(vscode: VSCode, file: string): Promise<void> {
  await vscode.show(file);
  await vscode.goTo(2, 1);
  await vscode.press("Shift+ArrowDown", "Shift+ArrowDown");
}

async function again(vscode: VSCode): Promise<void> {
  await vscode.press("Control+Alt+h", "w");
  await vscode.choose(/nearly the same/);
}

describe("VS Code, where a region is written again", unlessMissing(), () => {
  const files = {
    "verb.py": TEXT,
    "instruction.py": TEXT,
    "rejected.py": TEXT.replaceAll("\n", "\r\n").trimEnd(),
    "closed.py": TEXT,
    "again.py": TEXT,
    "edited.py": TEXT,
    "outlived.py": TEXT,
    "long.py": "x = 1\n".repeat(2000),
  };
  let vscode: VSCode;

  before(async () => {
    vscode = await VSCode.start({ files, resident: CLEVER });
    await vscode.untilStatus(/ready/);
  });
  after(() => vscode.stop());

  test("by a verb, and one undo takes it back", async () => {
    await select(vscode, "verb.py");
    await vscode.palette("midfill: Rewrite Region");
    assert.deepEqual(await vscode.choose(/Give the names more meaning/), [
      "Say what to do …",
      "Give the names more meaning",
      "Write a docstring",
      "Write it again",
      "Write it again, nearly the same",
      "Write it again, from nothing",
    ]);
    await vscode.untilRewritingHint(/1\/4 · 90 %/);
    await vscode.untilRewriting(/^def f\(a\):\n {4}did_rename\n\n/);
    await vscode.until(
      () => vscode.drawnBehind(),
      (text) => text.includes("1/4 · 90 % · Enter accept · Backspace reject · Alt+] next"),
      "the keys behind the region",
    );
    assert.equal(await vscode.page.locator(".tab.dirty").count(), 0, "nothing of the file has changed");
    await vscode.press("Enter");
    await vscode.untilNoRewriting();
    assert.equal(await vscode.saved("verb.py"), written("did_rename"));
    await vscode.press("Control+z");
    assert.equal(await vscode.saved("verb.py"), TEXT);
    await vscode.press("Control+Shift+z");
    assert.equal(await vscode.saved("verb.py"), written("did_rename"));
  });

  test("by an instruction, in other versions, and by another instruction", async () => {
    await select(vscode, "instruction.py");
    await vscode.press("Control+Alt+h", "r");
    await vscode.choose(/Say what to do/);
    assert.equal(await vscode.say("make it shorter"), "");
    await vscode.untilRewritingHint(/1\/4/);
    for (const which of ["2/4", "3/4", "4/4"]) {
      await vscode.press("Alt+]");
      await vscode.untilRewritingHint(new RegExp(which));
    }
    await vscode.untilRewriting(/did_make_it_shorter_4/);
    await vscode.press("Alt+]"); // past the last one: with another seed
    await vscode.untilRewritingHint(/5\/8/);
    await vscode.untilRewriting(/did_make_it_shorter_5/);
    await vscode.press("Alt+[");
    await vscode.untilRewriting(/did_make_it_shorter_4/);
    await vscode.press("Control+Alt+h", "r");
    await vscode.choose(/Say what to do/);
    assert.equal(await vscode.say("even shorter"), "make it shorter");
    await vscode.untilRewritingHint(/1\/4/);
    await vscode.press("Alt+]");
    await vscode.untilRewriting(/did_even_shorter_2/);
    await vscode.page.locator(".editor-actions [aria-label^='Accept Rewriting']").click();
    await vscode.untilNoRewriting();
    assert.equal(await vscode.saved("instruction.py"), written("did_even_shorter_2"));
  });

  for (const [way, reject] of [
    ["rejected", () => vscode.press("Backspace")],
    ["closed", () => vscode.closeTab()],
  ] as const) {
    test(`what is ${way} changes no byte, and leaves nothing to undo`, async () => {
      const file = `${way}.py` as const;
      await select(vscode, file);
      await again(vscode);
      await vscode.untilRewritingHint(/1\/4/);
      await vscode.untilRewriting(/filled_1/);
      await reject();
      await vscode.untilNoRewriting();
      await vscode.press("Control+z");
      await vscode.page.waitForSelector(`.tab.active[data-resource-name="${file}"]:not(.dirty)`);
      assert.equal(readFileSync(vscode.host.pathOf(file), "utf8"), files[file]);
    });
  }

  test("the cursor's line, at a strength, while the text around it changes", async () => {
    await vscode.show("again.py");
    await vscode.goTo(6, 3);
    await vscode.press("Control+Alt+h", "w");
    await vscode.choose(/Another strength/);
    await vscode.say("0.4");
    await vscode.untilRewriting(/filled_1/);
    await vscode.goToTab("again.py");
    await vscode.press("Control+Home");
    await vscode.type("#\n");
    await vscode.press("Control+Alt+h", "Enter");
    await vscode.untilNoRewriting();
    assert.equal(await vscode.saved("again.py"), `#\n${written("filled_1", "x = f(1)")}`);
  });

  test("a review outlives its server, and the next one is asked for other versions", async () => {
    await select(vscode, "outlived.py");
    await again(vscode);
    await vscode.untilRewritingHint(/1\/4/);
    await vscode.palette("midfill: Restart");
    await vscode.untilStatus(/starting/);
    await vscode.untilStatus(/ready/);
    await vscode.press("Alt+[");
    await vscode.untilRewritingHint(/4\/4/);
    await vscode.press("Alt+]");
    await vscode.untilRewritingHint(/5\/8/);
    await vscode.press("Enter");
    await vscode.untilNoRewriting();
    assert.equal(await vscode.saved("outlived.py"), written("filled_1_5"));
  });

  test("an edit in the region under review ends it", async () => {
    await select(vscode, "edited.py");
    await again(vscode);
    await vscode.untilRewriting(/filled_1/);
    await vscode.goToTab("edited.py");
    await vscode.goTo(3, 12);
    await vscode.type("1");
    await vscode.untilNotice(/The region was edited, so it is not rewritten; ask again/);
    await vscode.untilNoRewriting();
    assert.equal(await vscode.saved("edited.py"), TEXT.replace("return b", "return 1b"));
    await vscode.clearNotices();
  });

  test("what is refused leaves the text alone", async () => {
    await vscode.show("long.py");
    await vscode.press("Control+a");
    await again(vscode);
    await vscode.untilNotice(/The region has 2000 lines .* select less/);
    await vscode.goTo(3, 1);
    await vscode.press("Control+Alt+h", "r");
    await vscode.choose(/Say what to do/);
    await vscode.say("shorter ".repeat(1250));
    await vscode.untilNotice(/instruction has 10000 characters and may have 2000; shorten it/);
    await vscode.show("edited.py");
    await vscode.goTo(4, 1);
    await again(vscode);
    await vscode.untilNotice(/The region is empty/);
    await vscode.untilNoRewriting();
    assert.equal(await vscode.page.locator(".tab.dirty").count(), 0);
  });
});

describe("VS Code, while a region is being written again", unlessMissing(), () => {
  const files = { "draft.py": TEXT, "edited.py": TEXT, "second.py": TEXT, "server.py": TEXT };
  let vscode: VSCode;

  before(async () => {
    vscode = await VSCode.start({ files, resident: SLOW });
    await vscode.untilStatus(/ready/);
  });
  after(() => vscode.stop());

  test("the draft settles: what has settled is plain, the rest dimmed", async () => {
    await select(vscode, "draft.py");
    await again(vscode);
    const isDrawn = async (): Promise<boolean> => {
      const settling = /^def f\(a\):\n {4}(filled)(_?1?)(\?+)\n\n/.exec(await vscode.rewriting());
      const dimmed = await vscode.drawn("opacity", "0.4");
      return settling !== null && dimmed.length === 1 && dimmed[0] === settling[3];
    };
    await vscode.until(isDrawn, (itIs) => itIs, "a draft of which the end is dimmed");
    await vscode.press("Enter");
    await vscode.page.waitForSelector("text=there is nothing to accept yet");
    await vscode.press("Backspace");
    await vscode.untilNoRewriting();
    assert.equal(readFileSync(vscode.host.pathOf("draft.py"), "utf8"), TEXT);
    assert.equal(await vscode.page.locator(".tab.dirty").count(), 0);
  });

  test("an edit ends it", async () => {
    await select(vscode, "edited.py");
    await again(vscode);
    await vscode.untilRewriting(/fill/);
    await vscode.goToTab("edited.py");
    await vscode.goTo(6, 9);
    await vscode.type("#");
    assert.match(await vscode.untilNotice(/meanwhile/), /nothing was rewritten; ask again/);
    await vscode.untilNoRewriting();
    assert.equal(await vscode.saved("edited.py"), `${TEXT.trimEnd()}#\n`);
    await vscode.clearNotices();
  });

  test("a second one takes the place of the first, which is given up", async () => {
    await select(vscode, "second.py");
    await again(vscode);
    await vscode.untilRewriting(/\n {4}f.*\n\n\nx = f\(1\)/);
    await vscode.goToTab("second.py");
    await vscode.goTo(6, 1);
    await again(vscode);
    await vscode.page.waitForSelector("text=The rewriting before this one was given up");
    await vscode.untilRewriting(/return b\n\n\nfill/);
    await vscode.press("Control+Alt+h", "Backspace");
    await vscode.untilNoRewriting();
    assert.equal(await vscode.page.locator(".tab.dirty").count(), 0);
  });

  test("a server that dies ends it", async () => {
    await select(vscode, "server.py");
    await again(vscode);
    await vscode.untilRewriting(/fill/);
    await vscode.host.killServer();
    await vscode.untilNotice(/The language server ended, so nothing was rewritten; ask again/);
    await vscode.untilNoRewriting();
    assert.equal(await vscode.page.locator(".tab.dirty").count(), 0);
  });
});
