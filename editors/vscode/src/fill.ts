/** The commands that fill: what is meant in the active editor, asked of the server, which applies its edit itself. */
import * as vscode from "vscode";
import type { LanguageClient, Position } from "vscode-languageclient/node";
import { askWithProgress } from "./ask";
import { ServerCommand } from "./protocol";

export async function fillHole(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
  const argument = { ...documentOf(client, editor), position: cursorOf(client, editor) };
  await askWithProgress(client, ServerCommand.fillHole, argument, "Filling the hole");
}

export async function fillAllHoles(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
  await askWithProgress(client, ServerCommand.fillAllHoles, documentOf(client, editor), "Filling all holes");
}

export async function fillFunction(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
  const argument = { ...documentOf(client, editor), position: cursorOf(client, editor) };
  await askWithProgress(client, ServerCommand.fillFunction, argument, "Filling the holes of this function");
}

export async function fillSelection(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
  if (editor.selection.isEmpty) {
    void vscode.window.showInformationMessage("Select the code that is to be written anew, then fill the selection.");
    return;
  }
  const argument = { ...documentOf(client, editor), range: client.code2ProtocolConverter.asRange(editor.selection) };
  await askWithProgress(client, ServerCommand.fillSelection, argument, "Filling the selection");
}

/** Other code for what the model was unsure of: at a position, or everywhere in the document. */
export async function fillSpots(client: LanguageClient, editor: vscode.TextEditor, at: unknown): Promise<void> {
  const argument = { ...documentOf(client, editor), ...(isPosition(at) ? { position: at } : {}) };
  await askWithProgress(client, ServerCommand.fillSpots, argument, "Filling the uncertain spots again");
}

/** Have the calls of the function at the cursor follow its header. */
export async function updateCalls(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
  const argument = { ...documentOf(client, editor), position: cursorOf(client, editor) };
  await askWithProgress(client, ServerCommand.updateCalls, argument, "Updating the calls");
}

/** From a key another candidate of the ghost text that shows; from the palette, where none shows, ghost text at the cursor. */
export async function nextCandidate(from: unknown): Promise<void> {
  if (from !== "fromKey") {
    await vscode.commands.executeCommand("workbench.action.focusActiveEditorGroup");
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    return;
  }
  await vscode.commands.executeCommand("editor.action.inlineSuggest.showNext");
}

/** Bound to the keys of the fills in read-only editors, which the server cannot know. */
export async function explainReadOnly(): Promise<void> {
  const makeWriteable = "Make Writeable";
  const sentence = "This editor is read-only, so nothing was filled.";
  if ((await vscode.window.showWarningMessage(sentence, makeWriteable)) === makeWriteable) {
    await vscode.commands.executeCommand("workbench.action.files.setActiveEditorWriteableInSession");
  }
}

function isPosition(value: unknown): value is Position {
  return typeof value === "object" && value !== null && "line" in value && "character" in value;
}

function documentOf(client: LanguageClient, editor: vscode.TextEditor): { uri: string; version: number } {
  return { uri: client.code2ProtocolConverter.asUri(editor.document.uri), version: editor.document.version };
}

function cursorOf(client: LanguageClient, editor: vscode.TextEditor): Position {
  return client.code2ProtocolConverter.asPosition(editor.selection.active);
}
