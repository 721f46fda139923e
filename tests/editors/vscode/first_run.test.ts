/** From a workspace that is not trusted to the first ghost text: trust, consent, installation, a model elsewhere. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Forwarder } from "./forwarder";
import { getJson, PYTHON, REPOSITORY, SCRIPTED_RESIDENT, until, unlessMissing } from "./host";
import { VSCode } from "./vscode";

/** pip downloads 20 MB and makes a wheel. */
const INSTALLATION_TIMEOUT_MS = 600_000;
const CHECKOUT = ["lsp_server", "model", "pyproject.toml", "README.md", "LICENSE", "NOTICE"];

/** A resident with a scripted model, as if it ran on another machine: nothing but its socket is known of it. */
async function startResident(socketPath: string): Promise<ChildProcess> {
  const [program = "", ...rest] = SCRIPTED_RESIDENT;
  const resident = spawn(program, [...rest, "--socket", socketPath], { stdio: "ignore" });
  const answers = (): Promise<boolean> => getJson(socketPath, "/v1/model").then(Boolean, () => false);
  await until(answers, (isReady) => isReady, "the resident elsewhere");
  return resident;
}

/** A checkout of its own: pip leaves its build folder in the one that it installs. */
function copyCheckout(folder: string): void {
  mkdirSync(folder);
  for (const name of CHECKOUT) {
    const filter = (path: string): boolean => basename(path) !== "__pycache__";
    cpSync(join(REPOSITORY, name), join(folder, name), { recursive: true, filter });
  }
}

describe("VS Code, the first time", unlessMissing(), () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "mfe"));
  const forwarder = new Forwarder(join(elsewhere, "near.sock"), join(elsewhere, "far.sock"));
  let resident: ChildProcess;
  let vscode: VSCode;

  before(async () => {
    copyCheckout(join(elsewhere, "checkout"));
    mkdirSync(join(elsewhere, "empty"));
    resident = await startResident(join(elsewhere, "far.sock"));
    await forwarder.start();
    vscode = await VSCode.start({
      files: { "first.py": "value = \nother = \n" },
      machine: {
        "midfill.server.command": [],
        "midfill.server.python": PYTHON,
        "midfill.endpoint": `unix:${forwarder.near}`,
      },
      trusts: false,
    });
  });
  after(async () => {
    await vscode.stop();
    await forwarder.stop();
    resident.kill();
    rmSync(elsewhere, { recursive: true });
  });

  test("in Restricted Mode nothing is started, and the status bar says so", async () => {
    await vscode.untilStatus(/Off in Restricted Mode/);
    await vscode.goTo(1, 9);
    await vscode.press("Space");
    await vscode.palette("midfill: Fill All Holes");
    await vscode.untilNotice(/Off in Restricted Mode/);
    await vscode.clearNotices();
    await vscode.palette("midfill: Install or Update the Server");
    await vscode.untilNotice(/Off in Restricted Mode/);
    await vscode.picture("restricted");
    assert.equal(await vscode.ghostTextNow(), "");
    assert.deepEqual(vscode.host.servers(), []);
    assert.equal(forwarder.numConnections, 0);
    assert.equal(existsSync(vscode.host.storagePath), false);
  });

  test("once the workspace is trusted and the person agrees, the server is installed and runs", async () => {
    await vscode.clickInNotice("Manage Trust");
    await vscode.page.locator(".workspace-trust-editor .monaco-button", { hasText: /^Trust$/ }).click();
    await vscode.page.locator("[aria-label^='Close Modal Editor']").click();
    await vscode.untilNotice(/on no package index yet/);
    await vscode.clickInNotice("Choose Checkout…");
    await vscode.choosePath(join(elsewhere, "empty"));
    await vscode.untilNotice(/is no checkout of midfill/);
    await vscode.clickInNotice("Choose Checkout…");
    await vscode.choosePath(join(elsewhere, "checkout"));
    await vscode.untilNotice(/private environment/);
    assert.equal(existsSync(vscode.host.storagePath), false, "nothing is made before the person agrees");
    await vscode.clickInNotice("Install without Model");
    await vscode.untilNotice(/Installing midfill: (collecting|downloading)/, INSTALLATION_TIMEOUT_MS);
    await vscode.picture("installation");
    await vscode.untilStatus(/ready/, INSTALLATION_TIMEOUT_MS);
    assert.equal(vscode.host.servers().length, 1);
  });

  test("ghost text comes from a model behind a forwarded socket, and none is started here", async () => {
    await vscode.show("first.py");
    await vscode.goTo(1, 9);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
    assert.ok(forwarder.numConnections > 0);
    assert.deepEqual(vscode.host.residents(), []);
  });

  test("a line that is cut shows one notice, and once it is there again ghost text is too", async () => {
    await vscode.clearNotices();
    await forwarder.stop();
    await vscode.goTo(2, 9);
    await vscode.press("Space");
    const told = await vscode.untilNotice(/Nobody answers|stopped while it was answering/);
    assert.match(told, /start it there, or change the endpoint/);
    await forwarder.start();
    await vscode.press("Space"); // asks, and so connects anew
    await vscode.untilStatus(/ready/);
    await vscode.press("Space");
    assert.equal(await vscode.ghostText(), "filled_1");
    assert.equal((await vscode.notices()).length, 1);
  });
});
