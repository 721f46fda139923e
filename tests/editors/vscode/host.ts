/**
 * The machine's side of a test: a VS Code (code-server) with folders of its own, and the processes that it starts.
 *
 * Knows nothing of what a person sees. Its resident has a runtime directory of its own, so no other one is touched.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const REPOSITORY = resolve(__dirname, "../../../..");
export const PYTHON = join(REPOSITORY, ".venv/bin/python");
/** Long, because machines are slow; MIDFILL_EDITOR_TIMEOUT_MS while writing tests. */
export const TIMEOUT_MS = Number(process.env["MIDFILL_EDITOR_TIMEOUT_MS"] ?? 60_000);
export const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
const CODE_SERVER = join(
  process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
  "midfill-editors/vscode/code-server",
);
const VSIX = join(REPOSITORY, "editors/vscode/midfill.vsix");
/** Where this person told pip of a registry; the tests' own home has no such file. */
const PIP_CONFIGURATION = [
  process.env["PIP_CONFIG_FILE"] ?? "",
  join(homedir(), ".config/pip/pip.conf"),
  join(homedir(), ".pip/pip.conf"),
].find((path) => existsSync(path));

/** The language server as people have it, except that its resident has a scripted model. */
export const SCRIPTED_SERVER = [PYTHON, join(REPOSITORY, "tests/lsp_server/scripted_server.py")];
/** The language server as people have it. */
export const REAL_SERVER = [join(REPOSITORY, ".venv/bin/midfill"), "lsp"];
/** What starts a resident with a scripted model. */
export const SCRIPTED_RESIDENT = [PYTHON, join(REPOSITORY, "tests/wire/scripted_resident.py")];

/** For `describe`: skip, and say what is missing, unless everything is there. In CI something missing is a failure. */
export function unlessMissing(): { skip: string | false } {
  const parts: [string, boolean][] = [
    ["VS Code", existsSync(CODE_SERVER)],
    ["chromium", CHROMIUM !== undefined],
    ["the packaged extension", existsSync(VSIX)],
    [".venv with midfill", existsSync(PYTHON)],
  ];
  const missing = parts.filter(([, isThere]) => !isThere).map(([name]) => name);
  if (missing.length === 0) {
    return { skip: false };
  }
  const sentence = `missing: ${missing.join(", ")}; \`make test-vscode\` fetches and builds them`;
  if (process.env["CI"] === "true") {
    throw new Error(sentence);
  }
  return { skip: sentence };
}

/** settings: of the person. machine: of the machine. trusts: whether workspaces are trusted unasked. resident: the scripted one's options. */
export interface HostOptions {
  readonly files: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly machine?: Readonly<Record<string, unknown>>;
  readonly trusts?: boolean;
  readonly resident?: readonly string[];
}

const SETTINGS = {
  "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
  "editor.autoClosingBrackets": "never",
  "editor.autoClosingQuotes": "never",
  "editor.autoIndent": "keep",
  "editor.minimap.enabled": false,
  "editor.fontSize": 15,
  "chat.disableAIFeatures": true,
  "workbench.startupEditor": "none",
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.layoutControl.enabled": false,
  "window.commandCenter": false,
  "extensions.ignoreRecommendations": true,
  "git.enabled": false,
  "files.autoSave": "off",
  "security.workspace.trust.startupPrompt": "never",
  "security.workspace.trust.banner": "never",
};

export class Host {
  private constructor(
    readonly folder: string,
    private readonly process: ChildProcess,
    readonly port: number,
  ) {}

  /** Start VS Code in fresh folders, the packaged extension installed as a person installs it. */
  static async start(options: HostOptions): Promise<Host> {
    const folder = mkdtempSync(join(tmpdir(), "mfv"));
    for (const name of ["home", "data/User", "data/Machine", "run", "workspace"]) {
      mkdirSync(join(folder, name), { recursive: true });
    }
    for (const [name, text] of Object.entries(options.files)) {
      writeFileSync(join(folder, "workspace", name), text);
    }
    const machine = { "midfill.server.command": SCRIPTED_SERVER, ...options.machine };
    writeFileSync(join(folder, "data/User/settings.json"), JSON.stringify({ ...SETTINGS, ...options.settings }));
    writeFileSync(join(folder, "data/Machine/settings.json"), JSON.stringify(machine));
    const env = {
      ...process.env,
      ...(PIP_CONFIGURATION === undefined ? {} : { PIP_CONFIG_FILE: PIP_CONFIGURATION }),
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: join(folder, "home"),
      XDG_CONFIG_HOME: join(folder, "home/.config"),
      XDG_DATA_HOME: join(folder, "home/.local/share"),
      XDG_STATE_HOME: join(folder, "home/.local/state"),
      XDG_RUNTIME_DIR: join(folder, "run"),
      SCRIPTED_RESIDENT: JSON.stringify([...SCRIPTED_RESIDENT, ...(options.resident ?? [])]),
    };
    const folders = ["--user-data-dir", join(folder, "data"), "--extensions-dir", join(folder, "extensions")];
    execFileSync(CODE_SERVER, [...folders, "--install-extension", VSIX], { env, stdio: "ignore" });
    const port = await freePort();
    const server = spawn(
      CODE_SERVER,
      [
        ...["--bind-addr", `127.0.0.1:${port}`, "--auth", "none", "--disable-telemetry", "--disable-update-check"],
        ...(options.trusts === false ? [] : ["--disable-workspace-trust"]),
        ...["--disable-getting-started-override", "--disable-file-downloads", "--reconnection-grace-time", "5"],
        ...folders,
        join(folder, "workspace"),
      ],
      { env, stdio: "ignore", detached: true },
    );
    await untilListening(port);
    return new Host(folder, server, port);
  }

  async stop(): Promise<void> {
    if (this.process.pid !== undefined) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      process.kill(-this.process.pid);
      await ended;
    }
    await this.killResident().catch(() => undefined); // there may be none
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  /** A file's path; the folder of the workspace for "". */
  pathOf(file: string): string {
    return file === "" ? join(this.folder, "workspace") : join(this.folder, "workspace", file);
  }

  /** Where the extension keeps its private environments. */
  get storagePath(): string {
    return join(this.folder, "data/User/globalStorage/midfill.midfill");
  }

  get socketPath(): string {
    return join(this.folder, "run/midfill/embedded.sock");
  }

  /** Kill the language server of this VS Code, and no other, and wait until another one is there. */
  async killServer(): Promise<void> {
    const [pid] = this.servers();
    assert.ok(pid !== undefined, "a language server runs");
    process.kill(pid, "SIGKILL");
    const isNew = (pids: readonly number[]): boolean => pids.length === 1 && !pids.includes(pid);
    await until(() => Promise.resolve(this.servers()), isNew, "a new server");
  }

  /** The process ids of the language servers of this VS Code. */
  servers(): number[] {
    return this.processes(/scripted_server\.py|midfill\0lsp/);
  }

  /** The process ids of this VS Code's residents. */
  residents(): number[] {
    return this.processes(/scripted_resident\.py|midfill\.model\.serve/);
  }

  /** command: matched against the arguments, which zero bytes separate. */
  private processes(command: RegExp): number[] {
    const ours = `XDG_RUNTIME_DIR=${join(this.folder, "run")}\0`;
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return pids.map(Number).filter((pid) => {
      try {
        const isMeant = command.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
        return isMeant && readFileSync(`/proc/${pid}/environ`, "utf8").includes(ours);
      } catch {
        return false; // it has ended meanwhile
      }
    });
  }

  async killResident(): Promise<number> {
    const pid = (await this.health()).pid;
    process.kill(pid, "SIGKILL");
    return pid;
  }

  async health(): Promise<{ pid: number }> {
    return (await getJson(this.socketPath, "/healthz")) as { pid: number };
  }
}

/** Look until what is seen is accepted, and return it; raises an error that says what was waited for and what was seen. */
export async function until<T>(
  look: () => Promise<T>,
  accepts: (value: T) => boolean,
  what: string,
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  const giveUpAtMs = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (accepts(value)) {
      return value;
    }
    if (Date.now() > giveUpAtMs) {
      throw new Error(`Waited for ${what}; last seen: ${JSON.stringify(value)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A GET over a Unix socket. */
export function getJson(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, timeout: TIMEOUT_MS }, (response) => {
      let body = "";
      response.on("data", (piece: Buffer) => (body += piece.toString()));
      response.on("end", () => {
        resolve(JSON.parse(body));
      });
    });
    asking.on("error", reject);
    asking.end();
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  });
}

async function untilListening(port: number): Promise<void> {
  const answers = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
  await until(answers, (isListening) => isListening, `VS Code to answer on port ${port}`);
}
