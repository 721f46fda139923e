/** What comes after a person's own change or a fill that was taken: uncertain spots, calls after a header, quick fixes. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { unlessMissing } from "./host";
import { VSCode } from "./vscode";

const HOLES = `def area(width, height):
    return <fill>  # expect: width * height


def ratio(width, height):
    return <fill>  # expect: width / height
`;
const CALLS = `def area(width, height):
    return width * height


print(area(2, 3))
print(area(4, 5))
`;
const PROBLEM = 'const name = "𝒳";\nconsole.log(nam); // expect: (name)\n';
const FILES = { "spots.py": HOLES, "calls.py": CALLS, "repair.ts": PROBLEM };

describe("VS Code, after a change", unlessMissing(), () => {
  let vscode: VSCode;

  before(async () => {
    vscode = await VSCode.start({ files: FILES, resident: ["--unsure"] });
    await vscode.untilStatus(/ready/);
  });
  after(() => vscode.stop());

  async function untilMarked(...expected: string[]): Promise<void> {
    await vscode.until(
      () => vscode.drawn("text-decoration-style", "dotted"),
      (pieces) => pieces.join("") === expected.join(""),
      `the marks of ${expected.join(" and ")}`,
    );
  }

  test("what the model was unsure of is marked, and filled again alone or together", async () => {
    await vscode.press("Control+Alt+h", "a");
    await vscode.untilReviewed(2);
    await vscode.tick(/spots\.py/);
    await vscode.clickInReview("Apply");
    await untilMarked("width * height", "width / height");
    await vscode.focusEditor();
    await vscode.goTo(6, 14);
    await vscode.press("Control+k", "Control+i");
    const hover = vscode.page.locator(".monaco-hover-content", { hasText: "The model was only 30 % sure of this." });
    await hover.waitFor();
    await vscode.calmPicture("spots");
    await hover.locator("a", { hasText: "Fill it again" }).click();
    await untilMarked("width * height", "filled_1_2");
    await vscode.focusEditor();
    await vscode.press("Control+Alt+h", "u");
    await vscode.untilReviewed(2);
    await vscode.page.waitForSelector(".notifications-toasts:has-text('Filling')", { state: "detached" });
    await vscode.tick(/spots\.py/);
    await vscode.clickInReview("Apply");
    await untilMarked("filled_1_2", "filled_2_2");
    await vscode.focusEditor();
    await vscode.press("Control+Home", "#"); // before the spots
    await untilMarked("filled_1_2", "filled_2_2");
  });

  test("calls follow a header from the lightbulb", async () => {
    await vscode.show("calls.py");
    await vscode.goTo(1, 5);
    await vscode.select("area".length);
    await vscode.type("surface");
    await vscode.press("Escape"); // no ghost text
    await vscode.openLightbulb();
    await vscode.chooseAction(/Update the 2 calls of area/);
    await vscode.untilReviewed(2);
    await vscode.tick(/calls\.py/);
    await vscode.calmPicture("calls");
    await vscode.clickInReview("Apply");
    assert.equal(await vscode.saved("calls.py"), CALLS.replaceAll("area", "surface"));
  });

  test("a problem of another tool has a quick fix in its lightbulb", async () => {
    await vscode.show("repair.ts");
    await vscode.page.waitForSelector(".squiggly-error");
    await vscode.goTo(2, 14);
    await vscode.openLightbulb();
    await vscode.calmPicture("repair");
    await vscode.chooseAction(/Replace/);
    await vscode.untilText(/console\.log\(name\)/);
    assert.equal(await vscode.saved("repair.ts"), PROBLEM.replace("nam)", "name)"));
  });
});
