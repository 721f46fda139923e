/**
 * A real VS Code (code-server) with the packaged extension, and a page in which a person would sit.
 *
 * Each instance has folders of its own, and a resident of its own in a runtime directory of its own.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";

export const REPOSITORY = resolve(__dirname, "../../../..");
export const PYTHON = join(REPOSITORY, ".venv/bin/python");
/** Long, because machines are slow; MIDFILL_EDITOR_TIMEOUT_MS while writing tests. */
export const TIMEOUT_MS = Number(process.env["MIDFILL_EDITOR_TIMEOUT_MS"] ?? 60_000);
const CODE_SERVER = join(
  process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
  "midfill-editors/vscode/code-server",
);
const VSIX = join(REPOSITORY, "editors/vscode/midfill.vsix");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));

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

/** settings: of the person. machine: of the machine. trusts: whether workspaces are trusted unasked. steps: of the model. */
export interface Options {
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

/** The language server as people have it, except that its resident has a scripted model. */
export const SCRIPTED_SERVER = [PYTHON, join(REPOSITORY, "tests/lsp_server/scripted_server.py")];
/** The language server as people have it. */
export const REAL_SERVER = [join(REPOSITORY, ".venv/bin/midfill"), "lsp"];

export class VSCode {
  private constructor(
    private readonly folder: string,
    private readonly process: ChildProcess,
    private readonly browser: Browser,
    private readonly base: string,
    readonly page: Page,
  ) {}

  /** Start VS Code, install the extension as a person does, and open the workspace and its first file. */
  static async start(options: Options): Promise<VSCode> {
    const folder = mkdtempSync(join(tmpdir(), "mfv"));
    for (const name of ["home", "data/User", "data/Machine", "run", "workspace"]) {
      mkdirSync(join(folder, name), { recursive: true });
    }
    for (const [name, text] of Object.entries(options.files)) {
      writeFileSync(join(folder, "workspace", name), text);
    }
    const machine = {
      "midfill.server.command": SCRIPTED_SERVER,
      ...options.machine,
    };
    writeFileSync(join(folder, "data/User/settings.json"), JSON.stringify({ ...SETTINGS, ...options.settings }));
    writeFileSync(join(folder, "data/Machine/settings.json"), JSON.stringify(machine));
    const environment = {
      ...process.env,
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: join(folder, "home"),
      XDG_CONFIG_HOME: join(folder, "home/.config"),
      XDG_DATA_HOME: join(folder, "home/.local/share"),
      XDG_STATE_HOME: join(folder, "home/.local/state"),
      XDG_RUNTIME_DIR: join(folder, "run"),
      SCRIPTED_RESIDENT: JSON.stringify([
        PYTHON,
        join(REPOSITORY, "tests/wire/scripted_resident.py"),
        ...(options.resident ?? []),
      ]),
    };
    const folders = ["--user-data-dir", join(folder, "data"), "--extensions-dir", join(folder, "extensions")];
    execFileSync(CODE_SERVER, [...folders, "--install-extension", VSIX], {
      env: environment,
      stdio: "ignore",
    });
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
      { env: environment, stdio: ["ignore", "pipe", "pipe"], detached: true },
    );
    await untilListening(port);
    const browser = await chromium.launch({
      executablePath: CHROMIUM ?? "chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    const context = await browser.newContext({
      viewport: { width: 1200, height: 720 },
    });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT_MS);
    const vscode = new VSCode(folder, server, browser, `http://127.0.0.1:${port}`, page);
    try {
      await vscode.open(Object.keys(options.files)[0] ?? "");
    } catch (error) {
      await vscode.stop();
      throw error;
    }
    return vscode;
  }

  async stop(): Promise<void> {
    await this.browser.close();
    if (this.process.pid !== undefined) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      process.kill(-this.process.pid);
      await ended;
    }
    await this.killResident().catch(() => undefined); // there may be none
    rmSync(this.folder, {
      recursive: true,
      force: true,
      maxRetries: 5,
      retryDelay: 200,
    });
  }

  /** Open a file of the workspace in a fresh window. */
  async open(file: string): Promise<void> {
    const remote = `vscode-remote://${new URL(this.base).host}`;
    const payload = JSON.stringify([["openFile", `${remote}${this.pathOf(file)}`]]);
    await this.page.goto(`${this.base}/?folder=${this.pathOf("")}&payload=${encodeURIComponent(payload)}`);
    await this.page.waitForSelector(".monaco-editor .view-line");
  }

  /** A file's path; the folder of the workspace for "". */
  pathOf(file: string): string {
    return file === "" ? join(this.folder, "workspace") : join(this.folder, "workspace", file);
  }

  get socketPath(): string {
    return join(this.folder, "run/midfill/embedded.sock");
  }

  get homePath(): string {
    return join(this.folder, "home");
  }

  get storagePath(): string {
    return join(this.folder, "data/User/globalStorage/midfill.midfill");
  }

  async press(...keys: string[]): Promise<void> {
    for (const key of keys) {
      await this.page.keyboard.press(key);
    }
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text, { delay: 20 });
  }

  /** Open another file of the workspace in this window. */
  async show(file: string, editor = ".monaco-editor .view-line"): Promise<void> {
    await this.press("Control+p");
    await this.page.waitForSelector(".quick-input-widget:visible");
    await this.type(file);
    await this.page.waitForSelector(`.quick-input-list .monaco-list-row.focused[aria-label*="${file}"]`);
    await this.press("Enter");
    await this.page.waitForSelector(`.tab.active[data-resource-name="${file}"]`);
    await this.page.waitForSelector(editor);
  }

  async focusEditor(): Promise<void> {
    await this.press("Control+1");
  }

  /** Select so many characters to the right of the cursor. */
  async select(numCharacters: number): Promise<void> {
    for (let index = 0; index < numCharacters; index++) {
      await this.press("Shift+ArrowRight");
    }
  }

  /** Choose a code action from the lightbulb's menu. */
  async codeAction(title: RegExp): Promise<void> {
    await this.press("Control+.");
    await this.page.locator(".action-widget .monaco-list-row", { hasText: title }).first().click();
  }

  /** Wait for the Refactor Preview with so many changes; they stand under their file. */
  async untilReviewed(numChanges: number): Promise<void> {
    const rows = this.page.locator(".bulk-edit-panel .monaco-list-row");
    await this.until(
      () => rows.count(),
      (num) => num === numChanges + 1,
      `a review of ${numChanges} changes`,
    );
  }

  async tick(label: RegExp): Promise<void> {
    const row = this.page.locator(".bulk-edit-panel .monaco-list-row", { hasText: label }).first();
    await row.locator(".edit-checkbox").click();
  }

  async clickInReview(button: string): Promise<void> {
    await this.page.locator(".bulk-edit-panel .monaco-button", { hasText: button }).click();
  }

  /** All of the active editor's text, also what is out of sight, through the clipboard. */
  async wholeText(): Promise<string> {
    await this.focusEditor();
    await this.press("Control+a", "Control+c");
    return await this.page.evaluate(() => navigator.clipboard.readText());
  }

  /** Wait until the active editor shows a text that matches, lines joined by line breaks. */
  async untilText(pattern: RegExp): Promise<string> {
    return await this.until(
      () => this.text(),
      (text) => pattern.test(text),
      `the text ${String(pattern)}`,
    );
  }

  async text(): Promise<string> {
    return await this.page.evaluate(() => {
      const lines = [...document.querySelectorAll<HTMLElement>(".editor-group-container.active .view-line")];
      lines.sort((one, other) => parseFloat(one.style.top) - parseFloat(other.style.top));
      return lines
        .map((line) => line.textContent)
        .join("\n")
        .replaceAll("\u00a0", " ");
    });
  }

  /** line and column from 1. */
  async goTo(line: number, column: number): Promise<void> {
    await this.press("Control+g");
    await this.page.waitForSelector(".quick-input-widget:visible");
    await this.type(`${line}:${column}`);
    await this.press("Enter");
    await this.page.waitForSelector(".quick-input-widget", { state: "hidden" });
  }

  /** Run a command as a person does: by its title in the palette. */
  async palette(title: string): Promise<void> {
    await this.press("F1");
    await this.page.waitForSelector(".quick-input-widget:visible");
    await this.type(title);
    await this.page.waitForSelector(`.quick-input-list .monaco-list-row.focused[aria-label*="${title}"]`);
    await this.press("Enter");
  }

  /** The ghost text that shows, with its lines; waits for one that `accepts` accepts. */
  async ghostText(accepts: (text: string) => boolean = (text) => text !== ""): Promise<string> {
    return await this.until(() => this.ghostTextNow(), accepts, "ghost text");
  }

  async ghostTextNow(): Promise<string> {
    return await this.page.evaluate(() => {
      const textOf = (selector: string): string[] =>
        [...document.querySelectorAll(selector)].map((node) => node.textContent.replaceAll("\u00a0", " "));
      const firstLine = textOf(".ghost-text-decoration").join(""); // in pieces, word by word
      return [firstLine, ...textOf(".ghost-text .view-line")].join("\n").trimEnd();
    });
  }

  /** The file as it is on the disk once the editor has saved it. */
  async saved(file: string): Promise<string> {
    await this.press("Control+s");
    await this.page.waitForSelector(".tab.active:not(.dirty)");
    return readFileSync(this.pathOf(file), "utf8");
  }

  readonly statusItem = "[id='midfill.midfill.midfill.status']";

  async status(): Promise<string> {
    const item = this.page.locator(`${this.statusItem} [aria-label]`).or(this.page.locator(this.statusItem)).first();
    return (await item.getAttribute("aria-label", { timeout: TIMEOUT_MS })) ?? "";
  }

  async untilStatus(pattern: RegExp): Promise<string> {
    return await this.until(
      () => this.status(),
      (text) => pattern.test(text),
      `the status ${String(pattern)}`,
    );
  }

  /** The notifications that show, without the progress of a fill, which VS Code leaves standing for a moment. */
  async notices(): Promise<string[]> {
    const messages = this.page.locator(".notifications-toasts .notification-list-item-message");
    return (await messages.allInnerTexts()).filter((text) => !text.startsWith("Filling"));
  }

  async untilNotice(pattern: RegExp): Promise<string> {
    const all = await this.until(
      () => this.notices(),
      (texts) => texts.some((text) => pattern.test(text)),
      `the notice ${String(pattern)}`,
    );
    return all.find((text) => pattern.test(text)) ?? "";
  }

  async clickInNotice(button: string): Promise<void> {
    await this.page.locator(".notifications-toasts .monaco-button", { hasText: button }).first().click();
  }

  /** The names of the logs that the panel shows. */
  async openLogs(): Promise<string[]> {
    return await this.page.evaluate(() => {
      const choices = [...document.querySelectorAll<HTMLSelectElement>(".part.panel select")];
      return choices.map((choice) => choice.selectedOptions[0]?.text ?? "");
    });
  }

  async clearNotices(): Promise<void> {
    await this.palette("Notifications: Clear All Notifications");
  }

  /** Kill the language server of this VS Code, and no other, and wait until another one is there. */
  async killServer(): Promise<void> {
    const [pid] = this.servers();
    assert.ok(pid !== undefined, "a language server runs");
    process.kill(pid, "SIGKILL");
    const isNew = (pids: readonly number[]): boolean => pids.length === 1 && !pids.includes(pid);
    await this.until(() => Promise.resolve(this.servers()), isNew, "a new server");
  }

  /** The process ids of the language servers of this VS Code. */
  servers(): number[] {
    const ours = `XDG_RUNTIME_DIR=${join(this.folder, "run")}`;
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return pids.map(Number).filter((pid) => {
      try {
        const isServer = /scripted_server\.py|midfill\0lsp/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
        return isServer && readFileSync(`/proc/${pid}/environ`, "utf8").includes(ours);
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

  /** A picture for the documentation, or for a look at what went wrong. */
  async picture(name: string): Promise<void> {
    const folder = join(REPOSITORY, "editors/vscode/out/pictures");
    mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`) });
  }

  async until<T>(look: () => Promise<T>, accepts: (value: T) => boolean, what: string): Promise<T> {
    const giveUpAtMs = Date.now() + TIMEOUT_MS;
    for (;;) {
      const value = await look();
      if (accepts(value)) {
        return value;
      }
      if (Date.now() > giveUpAtMs) {
        await this.picture(`failed: ${what}`.replaceAll(/[^\w]+/g, "-"));
        throw new Error(`Waited for ${what}; last seen: ${JSON.stringify(value)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function getJson(socketPath: string, path: string): Promise<unknown> {
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
  const giveUpAtMs = Date.now() + TIMEOUT_MS;
  while (Date.now() < giveUpAtMs) {
    const answers = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
    if (answers) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`VS Code did not answer on port ${port}.`);
}
