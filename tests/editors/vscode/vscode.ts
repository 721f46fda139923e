/** The person's side of a test: the page in which a person would sit, what they do there and what they see. */
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { CHROMIUM, Host, REPOSITORY, TIMEOUT_MS, until, type HostOptions } from "./host";

export class VSCode {
  private constructor(
    readonly host: Host,
    private readonly browser: Browser,
    readonly page: Page,
  ) {}

  /** Start VS Code and open its workspace with its first file. */
  static async start(options: HostOptions): Promise<VSCode> {
    const host = await Host.start(options);
    const browser = await chromium.launch({
      executablePath: CHROMIUM ?? "chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    const context = await browser.newContext({ viewport: { width: 1200, height: 720 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT_MS);
    const vscode = new VSCode(host, browser, page);
    try {
      await vscode.open(Object.keys(options.files)[0] ?? "");
    } catch (error) {
      await vscode.picture("failed-to-open");
      await vscode.stop();
      throw error;
    }
    return vscode;
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await this.host.stop();
  }

  /** Open a file of the workspace in a fresh window. */
  async open(file: string): Promise<void> {
    const address = `127.0.0.1:${this.host.port}`;
    const payload = JSON.stringify([["openFile", `vscode-remote://${address}${this.host.pathOf(file)}`]]);
    const folder = this.host.pathOf("");
    await this.page.goto(`http://${address}/?folder=${folder}&payload=${encodeURIComponent(payload)}`);
    await this.page.waitForSelector(".monaco-editor .view-line");
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

  /** Go to an open editor by its tab's name. */
  async goToTab(name: string): Promise<void> {
    await this.page.locator(`.tab[aria-label^="${name}"] .monaco-icon-label`).click();
  }

  /** Close the active editor as a person does with the mouse. */
  async closeTab(): Promise<void> {
    await this.page.locator(".tab.active .tab-actions [aria-label^='Close']").click();
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

  /** Click the lightbulb, which stands beside the text or in the margin. */
  async openLightbulb(): Promise<void> {
    await this.page.waitForTimeout(2000); // until then its menu may be that of the selection before
    const bulbs = this.page.locator(".lightBulbWidget, .glyph-margin-widgets [class*='lightbulb']");
    await bulbs.locator("visible=true").first().click();
    await this.page.waitForSelector(".action-widget .monaco-list-row");
  }

  /** Choose a folder in the dialog that is open. */
  async choosePath(folder: string): Promise<void> {
    const row = ".quick-input-list .monaco-list-row";
    await this.page.waitForSelector(row); // before the folders are listed, what is typed is overwritten
    await this.press("Control+a");
    await this.page.keyboard.insertText(folder);
    await this.page.waitForSelector(`${row}[aria-label*="${basename(folder)}"]`);
    await this.press("Enter");
    await this.page.waitForSelector(".quick-input-widget", { state: "hidden" });
  }

  async chooseAction(title: RegExp): Promise<void> {
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
    return await this.linesOf(".editor-group-container.active .view-line");
  }

  private async linesOf(selector: string): Promise<string> {
    return await this.page.evaluate((lineSelector) => {
      const lines = [...document.querySelectorAll<HTMLElement>(lineSelector)];
      lines.sort((one, other) => parseFloat(one.style.top) - parseFloat(other.style.top));
      return lines
        .map((line) => line.textContent)
        .join("\n")
        .replaceAll("\u00a0", " ");
    }, selector);
  }

  /** The right side of the rewriting that shows, line by line; "" where none shows. */
  async rewriting(): Promise<string> {
    return await this.linesOf(".editor-group-container .editor.modified .lines-content > .view-lines > .view-line");
  }

  async untilRewriting(pattern: RegExp): Promise<string> {
    return await this.until(
      () => this.rewriting(),
      (text) => pattern.test(text),
      `the rewriting ${String(pattern)}`,
    );
  }

  async untilNoRewriting(): Promise<void> {
    await this.untilRewriting(/^$/);
    await this.page.waitForSelector(this.rewritingHint, { state: "detached" });
  }

  private readonly rewritingHint = "[id='midfill.midfill.midfill.rewriting']";

  /** Wait for what the status bar says of the rewriting. */
  async untilRewritingHint(pattern: RegExp): Promise<string> {
    return await this.until(
      () => this.page.locator(this.rewritingHint).innerText(),
      (text) => pattern.test(text),
      `the hint ${String(pattern)}`,
    );
  }

  /** The pieces of text that are drawn in a way, such as `opacity: 0.4`. */
  async drawn(property: string, value: string): Promise<string[]> {
    return await this.page.evaluate(
      ([name = "", wanted = ""]) => {
        const pieces = [...document.querySelectorAll<HTMLElement>(".view-line > span > span")];
        return pieces
          .filter((one) => getComputedStyle(one).getPropertyValue(name) === wanted)
          .map((one) => one.innerText.replaceAll("\u00a0", " "));
      },
      [property, value],
    );
  }

  /** What is drawn behind lines of text without being text. */
  async drawnBehind(): Promise<string> {
    return await this.page.evaluate(() => {
      const pieces = [...document.querySelectorAll<HTMLElement>(".view-line > span > span")];
      return pieces.map((one) => getComputedStyle(one, "::after").content).join("");
    });
  }

  /** Choose one of a list that VS Code asks with; returns what there was to choose from. */
  async choose(label: RegExp): Promise<string[]> {
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: label }).first();
    await row.waitFor();
    const labels = await this.page.locator(".quick-input-list .monaco-list-row .label-name").allInnerTexts();
    await row.click();
    return labels.map((text) => text.trim());
  }

  /** Answer the question for words that VS Code asks; returns what stood there. */
  async say(words: string): Promise<string> {
    const box = this.page.locator(".quick-input-widget:visible:has-text('to confirm or') .quick-input-box input");
    await box.waitFor();
    const before = await box.inputValue();
    await box.fill(words);
    await this.press("Enter");
    return before;
  }

  /** line and column from 1. */
  async goTo(line: number, column: number): Promise<void> {
    await this.press("Control+g");
    await this.page.waitForSelector(".quick-input-widget:visible");
    await this.type(`${line}:${column}`);
    await this.press("Enter");
    await this.page.waitForSelector(".quick-input-widget", { state: "hidden" });
  }

  /** Run a command as a person does: by its title in the palette. picture: of it, taken under this name. */
  async palette(title: string, picture?: string): Promise<void> {
    await this.press("F1");
    await this.page.waitForSelector(".quick-input-widget:visible");
    await this.type(title);
    await this.page.waitForSelector(`.quick-input-list .monaco-list-row.focused[aria-label*="${title}"]`);
    if (picture !== undefined) {
      await this.picture(picture);
    }
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
    return readFileSync(this.host.pathOf(file), "utf8");
  }

  readonly statusItem = "[id='midfill.midfill.midfill.status']";

  async status(): Promise<string> {
    const item = this.page.locator(`${this.statusItem} [aria-label]`).or(this.page.locator(this.statusItem)).first();
    return (await item.getAttribute("aria-label", { timeout: TIMEOUT_MS })) ?? "";
  }

  async untilStatus(pattern: RegExp, timeoutMs = TIMEOUT_MS): Promise<string> {
    return await this.until(
      () => this.status(),
      (text) => pattern.test(text),
      `the status ${String(pattern)}`,
      timeoutMs,
    );
  }

  /** The notifications that show, without the progress of a fill, which VS Code leaves standing for a moment. */
  async notices(): Promise<string[]> {
    const messages = this.page.locator(".notifications-toasts .notification-list-item-message");
    return (await messages.allInnerTexts()).filter((text) => !text.startsWith("Filling"));
  }

  async untilNotice(pattern: RegExp, timeoutMs = TIMEOUT_MS): Promise<string> {
    const all = await this.until(
      () => this.notices(),
      (texts) => texts.some((text) => pattern.test(text)),
      `the notice ${String(pattern)}`,
      timeoutMs,
    );
    return all.find((text) => pattern.test(text)) ?? "";
  }

  async clickInNotice(button: string): Promise<void> {
    await this.page.locator(".notifications-toasts .monaco-button", { hasText: button }).first().click();
  }

  /** Show all of a notice that is cut off after its first line. */
  async expandNotice(): Promise<void> {
    const notice = this.page.locator(".notifications-toasts .notification-list-item").first();
    await notice.hover();
    await notice.locator("[aria-label^='Expand Notification']").click();
    await this.page.mouse.move(0, 0); // what hovers over it would stay
    await this.page.waitForSelector(".workbench-hover", { state: "hidden" });
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

  /** A picture for the documentation, or for a look at what went wrong. */
  async picture(name: string): Promise<void> {
    const folder = join(REPOSITORY, "editors/vscode/out/pictures");
    mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`) });
  }

  /** The same once what comes up has faded in. */
  async calmPicture(name: string): Promise<void> {
    await this.page.waitForTimeout(500);
    await this.picture(name);
  }

  async until<T>(
    look: () => Promise<T>,
    accepts: (value: T) => boolean,
    what: string,
    timeoutMs = TIMEOUT_MS,
  ): Promise<T> {
    try {
      return await until(look, accepts, what, timeoutMs);
    } catch (error) {
      await this.picture(`failed: ${what}`.replaceAll(/[^\w]+/g, "-"));
      throw error;
    }
  }
}
