/** Servers and Pythons that are wrong: each is said, with the way out, and what is put right works. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SCRIPTED_SERVER, unlessMissing } from "./host";
import { VSCode } from "./vscode";

describe("VS Code with a server that does not start", unlessMissing(), () => {
  const programs = mkdtempSync(join(tmpdir(), "mfs"));
  const server = join(programs, "server");
  const python = join(programs, "python");
  let vscode: VSCode;

  function write(program: string, script: string): void {
    writeFileSync(program, `#!/bin/sh\n${script}\n`);
    chmodSync(program, 0o755);
  }

  before(async () => {
    write(server, "exit 3");
    write(python, 'echo "[3, 9, true]"');
    vscode = await VSCode.start({
      files: { "first.py": "value = \n" },
      machine: { "midfill.server.command": [server], "midfill.server.python": python },
    });
  });
  after(async () => {
    await vscode.stop();
    rmSync(programs, { recursive: true });
  });

  test("one that ends at once is named, and so are a Python that is too old and one that does not run", async () => {
    assert.match(await vscode.untilNotice(/did not start/), /the setting midfill\.server\.command/);
    assert.equal((await vscode.notices()).length, 1);
    await vscode.clickInNotice("Install");
    await vscode.untilNotice(/needs Python 3\.11 or newer, and here .*python is 3\.9\. Install one/);
    write(python, "exit 1");
    await vscode.palette("midfill: Install or Update the Server");
    await vscode.untilNotice(/needs Python 3\.11 or newer, and .*python is none that runs/);
    await vscode.clearNotices();
  });

  test("a key for what needs the server says why there is none", async () => {
    await vscode.focusEditor();
    await vscode.press("Control+Alt+h", "a");
    await vscode.untilNotice(/^midfill: The server .* did not start/);
    await vscode.clearNotices();
  });

  test("one that says nothing is given up for the next", async () => {
    write(server, "exec sleep 600");
    await vscode.palette("midfill: Restart");
    await vscode.untilStatus(/The server is starting/);
    write(server, `exec ${SCRIPTED_SERVER.join(" ")} "$@"`);
    await vscode.palette("midfill: Restart");
    await vscode.untilStatus(/ready/);
    assert.deepEqual(await vscode.notices(), []);
  });
});
