/** What may be wanted of a region: asked of a person, as far as the model can do it. */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { ask } from "./ask";
import { ServerCommand, type Wish } from "./protocol";

interface Choice extends vscode.QuickPickItem {
  /** undefined: the person thought better of it. */
  readonly wish: () => Thenable<Wish | undefined> | Wish;
}

const AGAIN: readonly Choice[] = [
  { label: "$(refresh) Write it again", wish: () => ({}) },
  { label: "$(refresh) Write it again, nearly the same", description: "strength 0.3", wish: () => ({ strength: 0.3 }) },
  { label: "$(refresh) Write it again, from nothing", description: "strength 1", wish: () => ({ strength: 1 }) },
];

/** Ask which wish, of all that the model can do. before: the last one, whose instruction may be edited. */
export async function chooseWish(client: LanguageClient, before: Wish | undefined): Promise<Wish | undefined> {
  const status = await ask(client, ServerCommand.status, {});
  if (status.model === null) {
    void vscode.window.showWarningMessage(status.message);
    return undefined;
  }
  const { verbs, instructions } = status.model;
  const choices: Choice[] = [
    ...(instructions ? [{ label: "$(edit) Say what to do …", wish: () => askForInstruction(before) }] : []),
    ...verbs.map(({ name, title }) => ({ label: `$(wand) ${title}`, wish: () => ({ verb: name }) })),
    ...AGAIN,
  ];
  return await pick(choices, "What is to become of it");
}

/** Ask how much of the region is to be written again. */
export async function chooseStrength(): Promise<Wish | undefined> {
  const other = { label: "$(edit) Another strength …", wish: askForStrength };
  return await pick([...AGAIN, other], "How much of it is to be written again");
}

async function pick(choices: readonly Choice[], placeHolder: string): Promise<Wish | undefined> {
  const chosen = await vscode.window.showQuickPick(choices, { title: "midfill: rewrite", placeHolder });
  return await chosen?.wish();
}

async function askForInstruction(before: Wish | undefined): Promise<Wish | undefined> {
  const instruction = await vscode.window.showInputBox({
    title: "midfill: rewrite",
    prompt: "What is to become of the region",
    value: before?.instruction ?? "",
  });
  return instruction?.trim() ? { instruction } : undefined;
}

async function askForStrength(): Promise<Wish | undefined> {
  const words = await vscode.window.showInputBox({
    title: "midfill: rewrite again",
    prompt: "The share of the old code that is noised first, above 0 and up to 1",
    validateInput: (value) =>
      isStrength(Number(value)) ? undefined : "Give a number above 0 and up to 1, such as 0.4.",
  });
  return words === undefined ? undefined : { strength: Number(words) };
}

function isStrength(value: number): boolean {
  return value > 0 && value <= 1;
}
