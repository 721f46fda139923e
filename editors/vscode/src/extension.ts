/** The extension: a session with the server, and the commands, the status and the notices around it. */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { tellFailure } from "./ask";
import { UiCommand } from "./commands";
import * as fill from "./fill";
import { showMenu, togglePause } from "./menu";
import { DRAFT, UNCERTAIN_SPOTS, type Draft, type UncertainSpots } from "./protocol";
import { Rewriter } from "./rewrite";
import { Session, type ServerState, type Trouble } from "./session";
import { changesServer } from "./settings";
import { offerInstallation } from "./setup";
import { SpotMarks } from "./spots";
import { createStatusBarItem, showInStatusBar } from "./statusBar";
import { statusLine } from "./statusLine";

const WAS_OFFERED = "installation was offered";

let session: Session | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel("midfill", { log: true });
  const started = new Session(log, context.globalStorageUri.fsPath);
  const item = createStatusBarItem(UiCommand.showStatus);
  const rewriter = new Rewriter();
  const marks = new SpotMarks();
  session = started;
  context.subscriptions.push(
    log,
    item,
    rewriter,
    marks,
    started.onClient((client) => {
      rewriter.onServer(client);
      client.onNotification(DRAFT, (draft: Draft) => {
        rewriter.onDraft(draft);
      });
      client.onNotification(UNCERTAIN_SPOTS, (spots: UncertainSpots) => {
        marks.onChange(client, spots);
      });
    }),
    started.onDidChangeState((state) => {
      showInStatusBar(item, state);
      void vscode.commands.executeCommand("setContext", "midfill.running", state.kind === "running");
      if (state.kind !== "running") {
        rewriter.onServerEnd();
        marks.forget();
      }
    }),
    started.onTrouble((trouble) => void tellTrouble(trouble)),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void start(started, log)),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (changesServer(event)) {
        void started.restart();
      }
    }),
    ...registerCommands(started, log, rewriter),
  );
  await started.restart();
  if (started.state.kind === "missing" && context.globalState.get(WAS_OFFERED) !== true) {
    void context.globalState.update(WAS_OFFERED, true); // after that the status bar says it, and nobody is asked twice
    void installAndRestart(started, log); // not awaited: a person may leave the question open for as long as they like
  }
}

export async function deactivate(): Promise<void> {
  await session?.stop();
}

function registerCommands(session: Session, log: vscode.LogOutputChannel, rewriter: Rewriter): vscode.Disposable[] {
  const inEditor = (
    run: (client: LanguageClient, editor: vscode.TextEditor, value: unknown) => Promise<void>,
  ): ((value: unknown) => Promise<void>) => {
    return async (value) => {
      const client = clientOf(session);
      const editor = vscode.window.activeTextEditor;
      if (editor === undefined) {
        void vscode.window.showInformationMessage("Open the file that this is about, then run it again.");
      } else if (client !== undefined) {
        await run(client, editor, value);
      }
    };
  };
  const commands: Record<(typeof UiCommand)[keyof typeof UiCommand], (...values: unknown[]) => unknown> = {
    [UiCommand.fillHole]: inEditor(fill.fillHole),
    [UiCommand.fillAllHoles]: inEditor(fill.fillAllHoles),
    [UiCommand.fillFunction]: inEditor(fill.fillFunction),
    [UiCommand.fillSelection]: inEditor(fill.fillSelection),
    [UiCommand.fillSpots]: inEditor(fill.fillSpots),
    [UiCommand.updateCalls]: inEditor(fill.updateCalls),
    [UiCommand.rewriteRegion]: inEditor((client, editor) => rewriter.rewrite(client, editor)),
    [UiCommand.rewriteAgain]: inEditor((client, editor) => rewriter.again(client, editor)),
    [UiCommand.acceptRewriting]: () => rewriter.accept(),
    [UiCommand.rejectRewriting]: () => {
      rewriter.reject();
    },
    [UiCommand.showRewriting]: () => {
      rewriter.show();
    },
    [UiCommand.nextVersion]: () => rewriter.step(1),
    [UiCommand.previousVersion]: () => rewriter.step(-1),
    [UiCommand.retryRewriting]: () => rewriter.retry(),
    [UiCommand.nextCandidate]: fill.nextCandidate,
    [UiCommand.pause]: async () => {
      const client = clientOf(session);
      if (client !== undefined) {
        await togglePause(client);
      }
    },
    [UiCommand.showStatus]: () => showMenu(session),
    [UiCommand.showLog]: () => {
      log.show();
    },
    [UiCommand.restart]: () => start(session, log),
    [UiCommand.install]: () => installAndRestart(session, log),
    [UiCommand.explainReadOnly]: fill.explainReadOnly,
  };
  return Object.entries(commands).map(([name, run]) =>
    vscode.commands.registerCommand(name, async (...values: unknown[]) => {
      try {
        await run(...values);
      } catch (error) {
        tellFailure(error);
      }
    }),
  );
}

/** Start the server anew; where there is none, offer to install it. */
async function start(session: Session, log: vscode.LogOutputChannel): Promise<void> {
  await session.restart();
  if (session.state.kind === "missing") {
    await installAndRestart(session, log);
  }
}

async function installAndRestart(session: Session, log: vscode.LogOutputChannel): Promise<void> {
  if (session.state.kind === "untrusted") {
    await tellState(session.state);
    return;
  }
  if (await offerInstallation(session, log)) {
    await session.restart();
  }
}

/** The client while the server runs; else the person is told why it does not. */
function clientOf(session: Session): LanguageClient | undefined {
  if (session.client === undefined) {
    void tellState(session.state);
  }
  return session.client;
}

async function tellState(state: ServerState): Promise<void> {
  const wayOut = {
    untrusted: ["Manage Trust", "workbench.trust.manage"],
    missing: ["Install", UiCommand.install],
    failed: ["Show Log", UiCommand.showLog],
    stopped: ["Start", UiCommand.restart],
    starting: undefined,
    running: undefined,
  }[state.kind];
  const [button, command] = wayOut ?? [];
  const sentence = `midfill: ${statusLine(state).tooltip}`;
  const answer = await vscode.window.showWarningMessage(sentence, ...(button === undefined ? [] : [button]));
  if (answer !== undefined && command !== undefined) {
    await vscode.commands.executeCommand(command);
  }
}

async function tellTrouble(trouble: Trouble): Promise<void> {
  const answer = trouble.startsAgain
    ? await vscode.window.showWarningMessage(trouble.reason, "Show Log")
    : await vscode.window.showErrorMessage(trouble.reason, "Show Log", "Restart", "Install");
  const commands: Record<string, string> = {
    "Show Log": UiCommand.showLog,
    Restart: UiCommand.restart,
    Install: UiCommand.install,
  };
  const command = answer && commands[answer];
  if (command !== undefined) {
    await vscode.commands.executeCommand(command);
  }
}
