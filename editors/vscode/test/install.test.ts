import assert from "node:assert/strict";
import fs, { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, mock, test } from "node:test";
import { install, InstallError, isCheckout, reasonOf, requirementsOf, stepOfPip } from "../src/install";

let storage: string;
beforeEach(() => {
  storage = mkdtempSync(join(tmpdir(), "midfill-install-"));
});
afterEach(() => {
  rmSync(storage, { recursive: true });
});

const CHECKOUT = join(__dirname, "../../../..");

test("what pip is asked for", () => {
  const check = (packageName: string, withModel: boolean, expected: string[]): void => {
    assert.deepEqual(requirementsOf(packageName, withModel), expected);
  };
  check("midfill", true, ["midfill[local]"]);
  check("midfill", false, ["midfill"]);
  check("midfill[ws]", true, ["midfill[ws]"]);
  const wheel = "/wheels/midfill-1-py3-none-any.whl";
  check(wheel, true, ["--find-links", "/wheels", `${wheel}[local]`]);
  check(wheel, false, [wheel]);
  const base = join(CHECKOUT, "model/base_wheel");
  check(CHECKOUT, true, [base, `${CHECKOUT}[local]`]);
  check(CHECKOUT, false, [CHECKOUT]);
  check(`${CHECKOUT}[ws]`, true, [`${CHECKOUT}[ws]`]);
  check(`${CHECKOUT}[ws, adapters]`, false, [base, `${CHECKOUT}[ws,adapters]`]);
});

test("a checkout is known by its project's name", () => {
  assert.equal(isCheckout(CHECKOUT), true);
  assert.equal(isCheckout(storage), false);
  writeFileSync(join(storage, "pyproject.toml"), '[project]\nname = "another"\n');
  assert.equal(isCheckout(storage), false);
});

test("of pip's lines a person gets the steps", () => {
  assert.equal(stepOfPip("Collecting pygls<3,>=2.1.1 (from midfill)"), "collecting pygls");
  assert.equal(
    stepOfPip("  Downloading torch-2.13.0-cp311-cp311-linux_x86_64.whl (190.2 MB)"),
    "downloading torch, 190.2 MB",
  );
  assert.equal(stepOfPip("Installing collected packages: attrs, cattrs"), "unpacking");
  assert.equal(stepOfPip("Requirement already satisfied: attrs"), undefined);
});

test("the reason of a failure is pip's last error, else the last thing said", () => {
  assert.equal(
    reasonOf(["ERROR: a", "ERROR: No matching distribution found for midfill", "[notice] b"]),
    "No matching distribution found for midfill",
  );
  assert.equal(reasonOf(["Looking", "No space left on device", ""]), "No space left on device");
  assert.equal(reasonOf([]), undefined);
  const base = "midfill's base model was not installed: another sha256";
  assert.equal(reasonOf(["  ERROR: a", `      ${base}`, "ERROR: Failed building wheel for midfill-base"]), base);
  const broken =
    "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'ProxyError('Cannot connect to proxy.', " +
    "NewConnectionError('<HTTPSConnection object>: Failed to establish a new connection: [Errno 111] Connection " +
    "refused'))': /simple/pygls/";
  assert.match(
    reasonOf([broken, "ERROR: No matching distribution found for pygls"]) ?? "",
    /not reach its package index \(\[Errno 111\] Connection refused\)\. Behind a proxy/,
  );
});

/** A "Python" that makes an environment whose pip does what `pip` says, in shell. */
function pythonWithPip(pip: string): { command: string[]; version: [number, number] } {
  const script = `mkdir -p "$2/bin"; printf '#!/bin/sh\\n%s\\n' "$0" > "$2/bin/python"; chmod +x "$2/bin/python"`;
  // Called as `sh -c SCRIPT PIP -I -m venv FOLDER`: $0 is PIP, $4 the folder.
  return { command: ["sh", "-c", script.replaceAll("$2", "$4"), pip], version: [3, 11] };
}

const QUIET = { step: (): void => undefined, line: (): void => undefined };

test("a failed installation leaves nothing behind, and the one before it in place", async () => {
  const before = join(storage, "environment-1");
  mkdirSync(before);
  writeFileSync(join(before, "midfill-is-installed"), "");
  const python = pythonWithPip("echo ERROR: No matching distribution found for midfill >&2; exit 1");
  const failing = install({ python, requirements: ["midfill"], storage }, QUIET, new AbortController().signal);
  await assert.rejects(
    failing,
    (error) => error instanceof InstallError && /No matching distribution/.test(error.message),
  );
  assert.deepEqual(readdirSync(storage), ["environment-1"]);
});

test("a cancelled installation ends what it started and leaves nothing behind", async () => {
  const abort = new AbortController();
  const python = pythonWithPip("echo Collecting torch; sleep 600");
  const step = (sentence: string): void => {
    if (sentence === "collecting torch") {
      abort.abort();
    }
  };
  await assert.rejects(install({ python, requirements: ["midfill"], storage }, { ...QUIET, step }, abort.signal), {
    name: "AbortError",
  });
  assert.deepEqual(readdirSync(storage), []);
});

test("an environment that is still in use stays, and the new one is installed all the same", async () => {
  const before = join(storage, "environment-1");
  mkdirSync(before);
  const python = pythonWithPip('printf "#!/bin/sh\\n" > "${0%python}midfill"; chmod +x "${0%python}midfill"');
  const remove = fs.rmSync;
  const locked = mock.method(fs, "rmSync", (path: string, options: object) => {
    if (path === before) {
      throw new Error("EBUSY");
    }
    remove(path, options);
  });
  try {
    const folder = await install({ python, requirements: ["midfill"], storage }, QUIET, new AbortController().signal);
    assert.ok(existsSync(join(folder, "midfill-is-installed")));
    assert.ok(existsSync(before));
  } finally {
    locked.mock.restore();
  }
});

test("a Python that cannot be run is named", async () => {
  const python = { command: ["/no/such/python"], version: [3, 11] as const };
  const failing = install({ python, requirements: ["midfill"], storage }, QUIET, new AbortController().signal);
  await assert.rejects(failing, /\/no\/such\/python could not be run/);
  assert.ok(existsSync(storage));
});
