/** The status bar item: the state at a glance, the menu one click away. */
import * as vscode from "vscode";
import type { ServerState } from "./session";
import { statusLine } from "./statusLine";

export function createStatusBarItem(command: string): vscode.StatusBarItem {
  const item = vscode.window.createStatusBarItem("midfill.status", vscode.StatusBarAlignment.Right, 100);
  item.name = "midfill";
  item.command = command;
  item.show();
  return item;
}

export function showInStatusBar(item: vscode.StatusBarItem, state: ServerState): void {
  const line = statusLine(state);
  item.text = line.text;
  item.tooltip = line.tooltip;
  item.accessibilityInformation = { label: `midfill: ${line.tooltip}` };
  item.backgroundColor =
    line.severity === "normal" ? undefined : new vscode.ThemeColor(`statusBarItem.${line.severity}Background`);
}
