/**
 * A region written again: seen settling, then as a diff, and put in when a person accepts it. Until then nothing of the
 * document changes. A window has one rewriting at a time; an edit in its region ends it.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { ask, tellFailure } from "./ask";
import { UiCommand } from "./commands";
import { draftedIn, withLineBreaks } from "./draft";
import { ServerCommand, type Draft, type DraftPiece, type ProposedRewrite, type Wish } from "./protocol";
import { followed, type Region } from "./region";
import { RewriteView } from "./rewriteView";
import { chooseStrength, chooseWish } from "./wishes";

const NUM_CANDIDATES = 4;
const STALE = "The text changed meanwhile, so nothing was rewritten; ask again.";
const KEYS = "Enter accept · Backspace reject · Alt+] next";

interface Version {
  readonly text: string;
  readonly confidence: number;
}

/** seed: of the newest question. versions: in the order in which they came. question: the one that runs. */
interface Rewriting {
  readonly document: vscode.TextDocument;
  client: LanguageClient;
  readonly wish: Wish;
  region: Region;
  seed: number;
  versions: readonly Version[];
  index: number;
  question?: { readonly token: number; readonly cancellation: vscode.CancellationTokenSource } | undefined;
}

export class Rewriter implements vscode.Disposable {
  private shown: Rewriting | undefined;
  private latestToken = 0;
  /** What stands behind the region in the next frame. */
  private words = "";
  private readonly view = new RewriteView();
  private readonly hint = vscode.window.createStatusBarItem("midfill.rewriting", vscode.StatusBarAlignment.Left);
  private readonly subscriptions: { dispose(): unknown }[];

  constructor() {
    this.hint.name = "midfill: the rewriting";
    this.subscriptions = [
      this.view,
      this.hint,
      vscode.workspace.onDidChangeTextDocument((event) => {
        this.follow(event);
      }),
      vscode.workspace.onDidCloseTextDocument((document) => {
        if (document === this.shown?.document) {
          this.giveUp("The file was closed, so nothing was rewritten.");
        }
      }),
      this.view.onDidClose(() => {
        this.reject();
      }),
    ];
  }

  dispose(): void {
    this.abandon();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  /** Ask what is wanted of the selection or the cursor's line, and write it again. */
  async rewrite(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
    if (this.view.isOf(editor.document.uri)) {
      await this.retry();
      return;
    }
    await this.begin(client, editor.document, selectedIn(editor), chooseWish(client, undefined));
  }

  /** The same with nothing to be wished but how much of it is written again. */
  async again(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
    const before = this.view.isOf(editor.document.uri) ? this.shown : undefined;
    const document = before?.document ?? editor.document;
    await this.begin(client, document, before?.region ?? selectedIn(editor), chooseStrength());
  }

  /** Another wish for the region that is under review; its instruction can be edited. */
  async retry(): Promise<void> {
    if (this.shown !== undefined) {
      const { client, document, region, wish } = this.shown;
      await this.begin(client, document, region, chooseWish(client, wish));
    }
  }

  /** The handler of midfill/draft. Of two canvases the first is shown. */
  onDraft(draft: Draft): void {
    const rewriting = this.shown;
    if (rewriting?.question?.token === draft.token && draft.canvas === 0) {
      rewriting.region = regionAt(rewriting, draft.range);
      this.draw(rewriting, draft.pieces);
    }
  }

  /** A new server was started: what is asked from now on about a region under review is asked of it. */
  onServer(client: LanguageClient): void {
    if (this.shown !== undefined) {
      this.shown.client = client;
    }
  }

  /** The server is gone: what it was asked will not be answered. Versions that are there already can be accepted. */
  onServerEnd(): void {
    if (this.shown?.question !== undefined) {
      this.giveUp("The language server ended, so nothing was rewritten; ask again.");
    }
  }

  /** Put the version that is shown in place of the region. */
  async accept(): Promise<void> {
    const rewriting = this.shown;
    const version = rewriting?.versions[rewriting.index];
    if (rewriting === undefined) {
      return;
    }
    if (rewriting.question !== undefined || version === undefined) {
      tell("The region is still being written; there is nothing to accept yet.");
      return;
    }
    const { document, region } = rewriting;
    this.forget(); // from here on an edit in the region is ours
    const edit = new vscode.WorkspaceEdit();
    edit.replace(document.uri, rangeOf(document, region), version.text);
    const isApplied = await vscode.workspace.applyEdit(edit); // of this version of the document, as one step
    await this.view.close();
    if (!isApplied) {
      void vscode.window.showErrorMessage("VS Code did not apply the rewriting, so nothing was changed; ask again.");
    } else {
      tell("Rewritten; undo takes it back.");
    }
  }

  /** Leave the region as it is. */
  reject(): void {
    if (this.shown !== undefined) {
      this.abandon();
      tell("Nothing was changed.");
    }
  }

  /** Bring the view to the front. */
  show(): void {
    if (this.shown !== undefined) {
      this.view.reveal(this.shown.document);
    }
  }

  /** Show the next (1) or previous (-1) version; after the last one others are asked for. */
  async step(direction: 1 | -1): Promise<void> {
    const rewriting = this.shown;
    if (rewriting === undefined || rewriting.question !== undefined) {
      return;
    }
    const index = rewriting.index + direction;
    if (index >= rewriting.versions.length) {
      rewriting.seed += NUM_CANDIDATES;
      await this.ask(rewriting);
    } else {
      rewriting.index = index < 0 ? rewriting.versions.length - 1 : index;
      this.drawVersion(rewriting);
    }
  }

  /** Once a person has chosen a wish, write the region again. What ran or was shown before gives way. */
  private async begin(
    client: LanguageClient,
    document: vscode.TextDocument,
    region: Region,
    choosing: Promise<Wish | undefined>,
  ): Promise<void> {
    const { version } = document;
    const wish = await choosing;
    if (wish === undefined) {
      return;
    }
    if (document.isClosed || document.version !== version) {
      void vscode.window.showWarningMessage(STALE);
      return;
    }
    if (this.shown?.question !== undefined) {
      tell("The rewriting before this one was given up.");
    }
    if (this.shown?.document !== document) {
      this.abandon();
    }
    this.forget();
    const rewriting: Rewriting = { document, client, wish, region, seed: 0, versions: [], index: 0 };
    this.shown = rewriting;
    void vscode.commands.executeCommand("setContext", "midfill.rewriting", true);
    await this.ask(rewriting);
  }

  private async ask(rewriting: Rewriting): Promise<void> {
    const { client, document, region, wish, seed } = rewriting;
    const cancellation = new vscode.CancellationTokenSource();
    const question = { token: ++this.latestToken, cancellation };
    rewriting.question = question;
    this.say("$(loading~spin)", "denoising …", UiCommand.rejectRewriting);
    if (this.view.isOpen) {
      this.draw(rewriting, [{ text: region.text, settled: false }]);
      this.view.reveal(document);
    }
    try {
      const argument = {
        uri: client.code2ProtocolConverter.asUri(document.uri),
        version: document.version,
        range: client.code2ProtocolConverter.asRange(rangeOf(document, region)),
        seed,
        candidates: NUM_CANDIDATES,
        draftsToken: question.token,
        ...wish,
      };
      const answer = await ask(client, ServerCommand.proposeRewrite, argument, cancellation.token);
      if (rewriting.question === question) {
        rewriting.question = undefined;
        this.onAnswer(rewriting, answer);
      }
    } catch (error) {
      if (rewriting.question === question) {
        rewriting.question = undefined;
        tellFailure(error);
        this.onNoAnswer(rewriting);
      }
    } finally {
      cancellation.dispose();
    }
  }

  private onAnswer(rewriting: Rewriting, answer: ProposedRewrite): void {
    if (answer.version !== rewriting.document.version) {
      this.giveUp(STALE);
      return;
    }
    const numBefore = rewriting.versions.length;
    const found = new Map(rewriting.versions.map((version) => [version.text, version]));
    for (const { newText, confidence } of answer.candidates) {
      const text = withLineBreaks(newText, eolOf(rewriting.document));
      found.set(text, found.get(text) ?? { text, confidence });
    }
    rewriting.versions = [...found.values()];
    if (rewriting.versions.length === numBefore) {
      tell("No other version was found; these are all.");
    }
    rewriting.region = regionAt(rewriting, answer.range);
    rewriting.index = numBefore % rewriting.versions.length;
    this.drawVersion(rewriting);
  }

  /** A question came to nothing; versions that were there before are shown again. */
  private onNoAnswer(rewriting: Rewriting): void {
    if (rewriting.versions.length > 0) {
      this.drawVersion(rewriting);
    } else {
      this.abandon();
    }
  }

  private follow(event: vscode.TextDocumentChangeEvent): void {
    const rewriting = this.shown;
    if (event.document !== rewriting?.document || event.contentChanges.length === 0) {
      return;
    }
    const region = followed(rewriting.region, event.contentChanges, event.document.getText());
    if (rewriting.question !== undefined) {
      this.giveUp(STALE);
    } else if (region === undefined) {
      this.giveUp("The region was edited, so it is not rewritten; ask again.");
    } else {
      rewriting.region = region;
      this.drawVersion(rewriting);
    }
  }

  private drawVersion(rewriting: Rewriting): void {
    const version = rewriting.versions[rewriting.index];
    if (version !== undefined) {
      const which = `${rewriting.index + 1}/${rewriting.versions.length} · ${Math.round(100 * version.confidence)} %`;
      this.say("$(sparkle)", `${which} · ${KEYS}`, UiCommand.showRewriting);
      this.draw(rewriting, [{ text: version.text, settled: true }]);
    }
  }

  private draw({ document, region }: Rewriting, pieces: readonly DraftPiece[]): void {
    const drafted = draftedIn(document.getText(), region, pieces, eolOf(document));
    this.view.draw(document, { ...drafted, hint: this.words });
  }

  /** In the status bar, and from the next frame on behind the region. command: what a click in the status bar runs. */
  private say(icon: string, words: string, command: string): void {
    this.words = words;
    this.hint.text = `${icon} ${words}`;
    this.hint.tooltip = command === UiCommand.showRewriting ? "Go to the rewriting" : "Give it up";
    this.hint.command = command;
    this.hint.show();
  }

  private giveUp(why: string): void {
    this.abandon();
    void vscode.window.showWarningMessage(why);
  }

  /** Show a rewriting no more, if there is one; the document stays as it is. */
  private abandon(): void {
    this.forget();
    void this.view.close();
  }

  private forget(): void {
    const rewriting = this.shown;
    this.shown = undefined;
    this.hint.hide();
    if (rewriting?.question !== undefined) {
      const { cancellation } = rewriting.question;
      rewriting.question = undefined;
      cancellation.cancel();
    }
    void vscode.commands.executeCommand("setContext", "midfill.rewriting", false);
  }
}

function selectedIn({ document, selection }: vscode.TextEditor): Region {
  return {
    start: document.offsetAt(selection.start),
    end: document.offsetAt(selection.end),
    text: document.getText(selection),
  };
}

/** range: the protocol's, in the document as it is. */
function regionAt({ client, document }: Rewriting, range: Draft["range"]): Region {
  const place = client.protocol2CodeConverter.asRange(range);
  return { start: document.offsetAt(place.start), end: document.offsetAt(place.end), text: document.getText(place) };
}

function rangeOf(document: vscode.TextDocument, { start, end }: Region): vscode.Range {
  return new vscode.Range(document.positionAt(start), document.positionAt(end));
}

function eolOf(document: vscode.TextDocument): string {
  return document.eol === vscode.EndOfLine.CRLF ? "\r\n" : "\n";
}

/** What a person need not act upon. */
function tell(sentence: string): void {
  vscode.window.setStatusBarMessage(`midfill: ${sentence}`, 5000);
}
