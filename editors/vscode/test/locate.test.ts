import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, test } from "node:test";
import { COMPLETE_MARK, fromHome, installedEnvironments, locateServer, programIn } from "../src/locate";

const folder = mkdtempSync(join(tmpdir(), "midfill-locate-"));
after(() => {
  rmSync(folder, { recursive: true });
});

function makeProgram(path: string): string {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, "");
  chmodSync(path, 0o755);
  return path;
}

const storage = join(folder, "storage");
const onPath = makeProgram(join(folder, "bin", "midfill"));
const path = [join(folder, "absent"), join(folder, "bin")].join(delimiter);

test("the setting goes before all else, also when it names nothing that exists", () => {
  const program = locateServer({ setting: ["/no/such/midfill", "lsp"], storage, path });
  assert.deepEqual([program?.command, program?.arguments], ["/no/such/midfill", ["lsp"]]);
  assert.equal(locateServer({ setting: ["~/midfill"], storage, path })?.command, join(homedir(), "midfill"));
});

test("a path in the settings may begin at home", () => {
  assert.equal(fromHome("~/midfill"), join(homedir(), "midfill"));
  assert.equal(fromHome("/a/~/b"), "/a/~/b");
});

test("without anything else the one on the PATH", () => {
  const program = locateServer({ setting: [], storage, path });
  assert.deepEqual([program?.command, program?.arguments], [onPath, ["lsp"]]);
});

test("nothing where there is nothing, and no folder or plain file of that name", () => {
  mkdirSync(join(folder, "folders", "midfill"), { recursive: true });
  mkdirSync(join(folder, "files"));
  writeFileSync(join(folder, "files", "midfill"), "");
  const useless = [join(folder, "folders"), join(folder, "files"), ""].join(delimiter);
  assert.equal(locateServer({ setting: [], storage, path: useless }), undefined);
});

test("of the private environments the newest that is complete", () => {
  const [old, whole, broken] = ["1", "2", "3"].map((name) => join(storage, `environment-${name}`)) as [
    string,
    string,
    string,
  ];
  for (const environment of [old, whole, broken]) {
    makeProgram(programIn(environment, "midfill"));
  }
  writeFileSync(join(old, COMPLETE_MARK), "");
  writeFileSync(join(whole, COMPLETE_MARK), "");
  assert.deepEqual(installedEnvironments(storage), [old, whole]);
  assert.equal(locateServer({ setting: [], storage, path })?.command, programIn(whole, "midfill"));
});
