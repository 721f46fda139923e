/**
 * How a rewriting looks: the file beside itself in VS Code's diff editor, where the region denoises and then is a version
 * of it. The right side is a document of its own, so nothing of the file changes.
 *
 * Knows nothing of how a rewriting goes on.
 */
import { posix } from "node:path";
import * as vscode from "vscode";
import type { Drafted } from "./draft";
import { SCHEME } from "./rewriteScheme";

const UNSETTLED = vscode.window.createTextEditorDecorationType({ opacity: "0.4" });
const HINT = vscode.window.createTextEditorDecorationType({
  after: { margin: "0 0 0 3em", color: new vscode.ThemeColor("editorCodeLens.foreground") },
});

/** More than VS Code can be behind; hidden, it is told of frames that it never asks for. */
const MAX_FRAMES = 20;

/** hint: what stands behind the region. */
export interface Frame extends Drafted {
  readonly hint: string;
}

export class RewriteView implements vscode.Disposable, vscode.TextDocumentContentProvider {
  private uri: vscode.Uri | undefined;
  /** The newest one last, and those before it that VS Code may still be on the way to. */
  private frames: Frame[] = [];
  private opening: Promise<void> | undefined;
  private numOpened = 0;
  private readonly textChanged = new vscode.EventEmitter<vscode.Uri>();
  private readonly closed = new vscode.EventEmitter<void>();
  private readonly subscriptions: { dispose(): unknown }[];
  readonly onDidChange = this.textChanged.event;
  /** A person closed it. */
  readonly onDidClose = this.closed.event;

  constructor() {
    void closeTabs((modified) => modified.scheme === SCHEME); // those of the window before it was loaded anew
    this.subscriptions = [
      this.textChanged,
      this.closed,
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.workspace.onDidChangeTextDocument(({ document }) => {
        if (this.isOf(document.uri)) {
          this.decorate();
        }
      }),
      vscode.window.onDidChangeVisibleTextEditors(() => {
        this.decorate();
      }),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => {
        if (closed.some((tab) => isDiff(tab, (modified) => this.isOf(modified)))) {
          this.uri = undefined;
          this.frames = [];
          this.closed.fire();
        }
      }),
    ];
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.isOf(uri) ? (this.frames.at(-1)?.text ?? "") : "";
  }

  isOf(uri: vscode.Uri): boolean {
    return uri.toString() === this.uri?.toString();
  }

  get isOpen(): boolean {
    return this.uri !== undefined;
  }

  /** Show a frame; the first one opens the view. */
  draw(document: vscode.TextDocument, frame: Frame): void {
    this.frames = [...this.frames.slice(1 - MAX_FRAMES), frame];
    if (this.uri !== undefined) {
      this.textChanged.fire(this.uri);
      this.decorate();
      return;
    }
    this.uri = vscode.Uri.from({ scheme: SCHEME, path: document.uri.path, query: String(++this.numOpened) });
    this.reveal(document);
  }

  /** Bring it to the front, at the beginning of the region. */
  reveal(document: vscode.TextDocument): void {
    const frame = this.frames.at(-1);
    if (this.uri !== undefined && frame !== undefined) {
      this.opening = this.openDiff(document, this.uri, document.positionAt(frame.drafted.start));
    }
  }

  async close(): Promise<void> {
    const uri = this.uri;
    if (uri !== undefined) {
      this.uri = undefined;
      this.frames = [];
      await this.opening;
      await closeTabs((modified) => modified.toString() === uri.toString());
    }
  }

  /** start: where the region begins. */
  private async openDiff(document: vscode.TextDocument, uri: vscode.Uri, start: vscode.Position): Promise<void> {
    const rewritten = await vscode.workspace.openTextDocument(uri);
    this.textChanged.fire(uri); // of changes while it was opened VS Code has taken no notice
    if (rewritten.languageId !== document.languageId) {
      await vscode.languages.setTextDocumentLanguage(rewritten, document.languageId);
    }
    const options: vscode.TextDocumentShowOptions = { preview: false, selection: new vscode.Range(start, start) };
    const title = `Rewriting ${posix.basename(document.uri.path)}`;
    await vscode.commands.executeCommand("vscode.diff", document.uri, uri, title, options);
  }

  private decorate(): void {
    const editor = vscode.window.visibleTextEditors.find(({ document }) => this.isOf(document.uri));
    if (editor === undefined) {
      return;
    }
    const { document } = editor;
    const text = document.getText();
    const index = this.frames.findLastIndex((one) => one.text === text);
    const frame = this.frames[index];
    if (frame === undefined) {
      return; // it is on its way
    }
    this.frames.splice(0, index);
    const rangeOf = ({ start, end }: { start: number; end: number }): vscode.Range =>
      new vscode.Range(document.positionAt(start), document.positionAt(end));
    const { end } = document.lineAt(document.positionAt(frame.drafted.end)).range;
    editor.setDecorations(UNSETTLED, frame.unsettled.map(rangeOf));
    editor.setDecorations(HINT, [
      { range: new vscode.Range(end, end), renderOptions: { after: { contentText: frame.hint } } },
    ]);
  }
}

function isDiff(tab: vscode.Tab, accepts: (modified: vscode.Uri) => boolean): boolean {
  return tab.input instanceof vscode.TabInputTextDiff && accepts(tab.input.modified);
}

async function closeTabs(accepts: (modified: vscode.Uri) => boolean): Promise<void> {
  const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs).filter((tab) => isDiff(tab, accepts));
  if (tabs.length > 0) {
    await vscode.window.tabGroups.close(tabs);
  }
}
