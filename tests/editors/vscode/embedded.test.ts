/** The model that comes with midfill, in VS Code: that it answers, not what. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { REAL_SERVER, unlessMissing } from "./host";
import { VSCode } from "./vscode";

const INVENTORY = `"""What is in store."""

from dataclasses import dataclass, field


@dataclass
class Stock:
    """How many of each part there are."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, count: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + count

    def remove(self, name: str, count: int = 1) -> None:
        self.counts[name] = <fill>

    def total(self) -> int:
        return <fill>
`;
const TYPED = INVENTORY.replace("self.counts[name] = <fill>", "").replace("<fill>", "sum(self.counts.values())");
const PRICES = `"""Prices of a shop."""


def net_prices(prices: list[float], rate: float) -> list[float]:
    result = []
    for price in prices:
        if price > 0:
            result.append(price / (1 + rate))
    return result


def high_prices(prices, limit):
    return [price for price in prices if price > limit]
`;

describe("VS Code with the embedded model", unlessMissing(), () => {
  let vscode: VSCode;

  before(async () => {
    vscode = await VSCode.start({
      files: { "stock.py": TYPED, "holes.py": INVENTORY, "prices.py": PRICES },
      machine: { "midfill.server.command": REAL_SERVER },
      settings: { "midfill.showThreshold": 0 }, // whether it is sure enough is a matter of its weights
    });
    await vscode.untilStatus(/ready/);
  });
  after(() => vscode.stop());

  test("ghost text appears, and what is taken is what was shown", async () => {
    await vscode.goTo(16, 9);
    await vscode.type("self.counts[name] ");
    const shown = await vscode.ghostText();
    await vscode.picture("ghost-text");
    await vscode.press("Control+ArrowRight");
    const rest = await vscode.ghostText((text) => text !== shown && text !== "");
    await vscode.picture("ghost-text-word");
    assert.ok(shown.endsWith(rest), `${rest} is the end of ${shown}`);
    await vscode.press("Tab");
    assert.equal(await vscode.saved("stock.py"), TYPED.replace("        \n", `        self.counts[name] ${shown}\n`));
  });

  test("two holes are filled together, and applied once they are ticked", async () => {
    await vscode.show("holes.py");
    await vscode.press("Control+Alt+h", "a");
    await vscode.untilReviewed(2);
    await vscode.tick(/holes\.py/);
    await vscode.picture("embedded-review");
    await vscode.clickInReview("Apply");
    const filled = await vscode.saved("holes.py");
    const [head = "", between = "", tail = ""] = INVENTORY.split("<fill>");
    assert.ok(filled.startsWith(head) && filled.includes(between) && filled.endsWith(tail), filled);
    assert.doesNotMatch(filled, /<fill>/);
  });

  test("a line is written again, and what is accepted is what was shown", async () => {
    await vscode.show("prices.py");
    await vscode.goTo(8, 13);
    await vscode.press("Control+Alt+h", "r");
    await vscode.page.waitForSelector(".quick-input-list .monaco-list-row");
    await vscode.calmPicture("rewrite-choices");
    await vscode.choose(/Write it again/);
    await vscode.untilRewritingHint(/1\//);
    const isFinished = (text: string): boolean => /def high_prices/.test(text) && !text.includes("░");
    const shown = await vscode.until(() => vscode.rewriting(), isFinished, "a version");
    await vscode.calmPicture("rewrite-review");
    await vscode.press("Enter");
    await vscode.untilNoRewriting();
    assert.equal(await vscode.saved("prices.py"), shown);
    assert.notEqual(shown, PRICES);
    await vscode.press("Control+z");
    assert.equal(await vscode.saved("prices.py"), PRICES);
  });
});
