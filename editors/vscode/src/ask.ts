/** Asking the server to do something: a typed command, its progress where a person can cancel it, its failure as a sentence. */
import * as vscode from "vscode";
import { ExecuteCommandRequest, WorkDoneProgress, type LanguageClient } from "vscode-languageclient/node";
import type { Exchange } from "./protocol";

let numAsked = 0;

export async function ask<Name extends keyof Exchange>(
  client: LanguageClient,
  command: Name,
  argument: Exchange[Name][0],
  cancellation?: vscode.CancellationToken,
): Promise<Exchange[Name][1]> {
  const params = { command, arguments: [argument] };
  return (await client.sendRequest(ExecuteCommandRequest.type, params, cancellation)) as Exchange[Name][1];
}

/** The same under a notification with a Cancel button. It goes when the work is done: a review that follows has its own view. */
export async function askWithProgress<Name extends keyof Exchange>(
  client: LanguageClient,
  command: Name,
  argument: Exchange[Name][0],
  title: string,
): Promise<void> {
  const workDoneToken = `midfill-ui-${++numAsked}`;
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  await vscode.window.withProgress(options, async (progress, cancellation) => {
    let endShown: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (endShown = resolve));
    const listening = client.onProgress(WorkDoneProgress.type, workDoneToken, (value) => {
      if (value.kind === "end") {
        endShown();
      } else {
        progress.report({ message: value.message ?? "" });
      }
    });
    const request = client
      .sendRequest(ExecuteCommandRequest.type, { command, arguments: [argument], workDoneToken }, cancellation)
      .catch((error: unknown) => {
        if (!cancellation.isCancellationRequested) {
          tellFailure(error);
        }
      })
      .finally(() => {
        listening.dispose();
      });
    await Promise.race([ended, request]);
  });
}

export function tellFailure(error: unknown): void {
  void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
}
