/** The extension's own settings. The server's it asks for itself. */
import * as vscode from "vscode";
import { fromHome } from "./locate";

export const SECTION = "midfill";

/** command: empty to look for the server. python: empty to look for one. packageName: what pip installs, empty to ask. */
export interface ExtensionSettings {
  readonly command: readonly string[];
  readonly python: string;
  readonly packageName: string;
}

export function readSettings(): ExtensionSettings {
  const settings = vscode.workspace.getConfiguration(`${SECTION}.server`);
  return {
    command: settings.get<string[]>("command", []),
    python: fromHome(settings.get<string>("python", "").trim()),
    packageName: fromHome(settings.get<string>("package", "").trim()),
  };
}

export function changesServer(event: vscode.ConfigurationChangeEvent): boolean {
  return event.affectsConfiguration(`${SECTION}.server.command`);
}

/** Keep what pip installs from now on, on this machine. */
export async function keepPackageName(packageName: string): Promise<void> {
  const settings = vscode.workspace.getConfiguration(`${SECTION}.server`);
  await settings.update("package", packageName, vscode.ConfigurationTarget.Global);
}

export async function openSetting(name: string): Promise<void> {
  await vscode.commands.executeCommand("workbench.action.openSettings", `${SECTION}.${name}`);
}
