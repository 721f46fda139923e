/** The menu behind the status bar item: what is the case, and what can be done about it. */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { ask } from "./ask";
import { UiCommand } from "./commands";
import { DOCUMENT_SELECTOR } from "./languages";
import { ServerCommand, type FullStatus, type PauseTarget, type Pauses } from "./protocol";
import type { Session } from "./session";
import { SECTION } from "./settings";
import { statusLine } from "./statusLine";

interface Choice extends vscode.QuickPickItem {
  run?: () => Thenable<unknown>;
}

export async function showMenu(session: Session): Promise<void> {
  const client = session.client;
  const status = client === undefined ? undefined : await statusOf(client);
  const title = status?.message ?? statusLine(session.state).tooltip;
  const choices = [
    ...troubleChoices(session),
    ...(client && status ? runningChoices(client, status) : []),
    ...everyChoice,
  ];
  const placeHolder = status?.document?.reason ?? "What to do";
  const chosen = await vscode.window.showQuickPick(choices, { title: `midfill: ${title}`, placeHolder });
  await chosen?.run?.();
}

export async function togglePause(client: LanguageClient): Promise<void> {
  const { paused } = await ask(client, ServerCommand.status, {});
  await ask(client, isAnythingPaused(paused) ? ServerCommand.resume : ServerCommand.pause, { scope: "global" });
}

/** The status; with the active document's, if the server knows that document. */
async function statusOf(client: LanguageClient): Promise<FullStatus> {
  const document = activeDocument();
  if (document !== undefined) {
    try {
      return await ask(client, ServerCommand.status, { uri: client.code2ProtocolConverter.asUri(document.uri) });
    } catch {
      // The server has not been told of it yet.
    }
  }
  return await ask(client, ServerCommand.status, {});
}

/** The document that the person works in; none where that is an output or in a language that the server does not read. */
function activeDocument(): vscode.TextDocument | undefined {
  const document = vscode.window.activeTextEditor?.document;
  return document !== undefined && vscode.languages.match(DOCUMENT_SELECTOR, document) > 0 ? document : undefined;
}

function troubleChoices(session: Session): Choice[] {
  switch (session.state.kind) {
    case "untrusted":
      return [choice("$(shield) Manage workspace trust", "workbench.trust.manage")];
    case "missing":
      return [choice("$(cloud-download) Install the server", UiCommand.install)];
    default:
      return [];
  }
}

function runningChoices(client: LanguageClient, status: FullStatus): Choice[] {
  const offered = status.command;
  return [
    ...(offered === undefined
      ? []
      : [choice(`$(debug-restart) ${offered.title}`, offered.command, ...(offered.arguments ?? []))]),
    choice("$(symbol-misc) Fill all holes of this file", UiCommand.fillAllHoles),
    ...pauseChoices(client, status.paused),
    {
      label: "$(graph) Counters",
      description: "suggestions shown and accepted on this machine",
      run: async () => {
        const counters = await ask(client, ServerCommand.stats, {});
        const shown = Object.entries(counters).map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`);
        await vscode.window.showInformationMessage(`midfill on this machine: ${shown.join(", ")}.`);
      },
    },
    choice("$(refresh) Restart the model", ServerCommand.restartResident, {}),
  ];
}

function pauseChoices(client: LanguageClient, paused: Pauses): Choice[] {
  if (isAnythingPaused(paused)) {
    return [{ label: "$(debug-start) Resume", run: () => ask(client, ServerCommand.resume, { scope: "global" }) }];
  }
  const document = activeDocument();
  const folder = document && vscode.workspace.getWorkspaceFolder(document.uri);
  const targets: [string, PauseTarget][] = [["everywhere", { scope: "global" }]];
  if (folder !== undefined) {
    const uri = client.code2ProtocolConverter.asUri(folder.uri);
    targets.push([`in the folder ${folder.name}`, { scope: "workspace", folder: uri }]);
  }
  if (document !== undefined) {
    targets.push([`for ${document.languageId}`, { scope: "language", language: document.languageId }]);
  }
  return targets.map(([where, target]) => ({
    label: `$(debug-pause) Pause ${where}`,
    run: () => ask(client, ServerCommand.pause, target),
  }));
}

function isAnythingPaused(paused: Pauses): boolean {
  return paused.global || paused.languages.length > 0 || paused.folders.length > 0;
}

const everyChoice: Choice[] = [
  choice("$(debug-restart) Restart the server", UiCommand.restart),
  choice("$(output) Show the log", UiCommand.showLog),
  choice("$(gear) Settings", "workbench.action.openSettings", `@ext:midfill.${SECTION}`),
  choice("$(book) Walkthrough", "workbench.action.openWalkthrough", "midfill.midfill#start"),
];

function choice(label: string, command: string, ...argumentsOfCommand: unknown[]): Choice {
  return { label, run: () => vscode.commands.executeCommand(command, ...argumentsOfCommand) };
}
