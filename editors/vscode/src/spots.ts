/** What the model was least sure of in fills that were taken: marked lightly, as the server tells it. */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { UiCommand } from "./commands";
import type { UncertainSpots } from "./protocol";

const UNCERTAIN = vscode.window.createTextEditorDecorationType({
  textDecoration: "underline dotted",
  overviewRulerColor: new vscode.ThemeColor("editorGhostText.foreground"),
  overviewRulerLane: vscode.OverviewRulerLane.Right,
});

export class SpotMarks implements vscode.Disposable {
  private readonly marks = new Map<string, readonly vscode.DecorationOptions[]>();
  private readonly subscription = vscode.window.onDidChangeVisibleTextEditors((editors) => {
    editors.forEach((editor) => {
      this.show(editor);
    });
  });

  dispose(): void {
    this.subscription.dispose();
  }

  /** The handler of midfill/uncertainSpots. Between two notes the marks move with the text by themselves. */
  onChange(client: LanguageClient, { uri, spots }: UncertainSpots): void {
    const marks = spots.map(({ range, confidence }) => {
      const place = client.protocol2CodeConverter.asRange(range);
      return { range: place, hoverMessage: explain(place.start, confidence) };
    });
    this.marks.set(client.protocol2CodeConverter.asUri(uri).toString(), marks);
    vscode.window.visibleTextEditors.forEach((editor) => {
      this.show(editor);
    });
  }

  /** Mark nothing any more: a server that starts anew knows of no spots. */
  forget(): void {
    this.marks.clear();
    vscode.window.visibleTextEditors.forEach((editor) => {
      this.show(editor);
    });
  }

  private show(editor: vscode.TextEditor): void {
    editor.setDecorations(UNCERTAIN, this.marks.get(editor.document.uri.toString()) ?? []);
  }
}

function explain({ line, character }: vscode.Position, confidence: number): vscode.MarkdownString {
  const place = encodeURIComponent(JSON.stringify({ line, character }));
  const sentence = `The model was only ${Math.round(100 * confidence)} % sure of this.`;
  const words = new vscode.MarkdownString(`${sentence} [Fill it again](command:${UiCommand.fillSpots}?${place})`);
  words.isTrusted = { enabledCommands: [UiCommand.fillSpots] };
  return words;
}
