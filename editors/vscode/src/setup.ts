/** The first run: no server yet. Says what would be installed, asks, installs, and says how it went. */
import * as vscode from "vscode";
import { UiCommand } from "./commands";
import { install, InstallError, isCheckout, outputOf, requirementsOf } from "./install";
import { IS_WINDOWS } from "./locate";
import { PROBE, pythonsToTry, searchPython, type Python } from "./python";
import type { Session } from "./session";
import { keepPackageName, openSetting, readSettings } from "./settings";

const PROBE_TIMEOUT_MS = 20_000;
const LOCAL = "Install with Model";
const FRONT = "Install without Model";
const OWN = "I Have It Already";
const CHOOSE = "Choose Checkout…";
/** What pip downloads and what it takes on the disk. */
const SIZE =
  process.platform === "linux"
    ? "With the model it needs PyTorch: pip's build for Linux brings CUDA (about 3 GB) unless pip is configured for a CPU build (about 350 MB)."
    : "With the model it downloads about 350 MB, most of it PyTorch.";

/** Ask whether to install the server, and do it. True: it is installed now. */
export async function offerInstallation(session: Session, log: vscode.LogOutputChannel): Promise<boolean> {
  const settings = readSettings();
  const commands = pythonsToTry(settings.python, IS_WINDOWS);
  const search = await searchPython(commands, (command) => outputOf([...command, "-c", PROBE], PROBE_TIMEOUT_MS));
  if ("reason" in search) {
    await tellNoPython(search.reason);
    return false;
  }
  const packageName = settings.packageName || (await askForCheckout());
  if (packageName === undefined) {
    return false;
  }
  const { command, version } = search.python;
  const question =
    `midfill needs its language server, a Python package. Install ${packageName} into a private environment, ` +
    `with ${command.join(" ")} (${version.join(".")})? ${SIZE} Without it (about 20 MB) the model must run elsewhere.`;
  const answer = await vscode.window.showInformationMessage(question, LOCAL, FRONT, OWN);
  switch (answer) {
    case LOCAL:
    case FRONT:
      return await installWithProgress(session, log, search.python, requirementsOf(packageName, answer === LOCAL));
    case OWN:
      await openSetting("server.command");
      return false;
    case undefined:
      return false;
  }
}

/** The folder of a checkout, kept as the setting; undefined if the person chose none. */
async function askForCheckout(): Promise<string | undefined> {
  let reason =
    "midfill needs its language server, a Python package that is on no package index yet. Choose the folder of a " +
    "checkout of midfill's repository to install it from there.";
  for (;;) {
    const answer = await vscode.window.showInformationMessage(reason, CHOOSE, OWN);
    if (answer === OWN) {
      await openSetting("server.command");
    }
    if (answer !== CHOOSE) {
      return undefined;
    }
    const chosen = await vscode.window.showOpenDialog({
      canSelectFiles: false,
      canSelectFolders: true,
      openLabel: "Install from Here",
      title: "A Checkout of midfill",
    });
    const folder = chosen?.[0]?.fsPath;
    if (folder === undefined) {
      return undefined;
    }
    if (isCheckout(folder)) {
      await keepPackageName(folder);
      return folder;
    }
    reason = `${folder} is no checkout of midfill: it has no pyproject.toml of that name. Choose the folder that has it.`;
  }
}

async function installWithProgress(
  session: Session,
  log: vscode.LogOutputChannel,
  python: Python,
  requirements: readonly string[],
): Promise<boolean> {
  const options = { location: vscode.ProgressLocation.Notification, title: "Installing midfill", cancellable: true };
  try {
    await vscode.window.withProgress(options, async (progress, cancellation) => {
      const abort = new AbortController();
      cancellation.onCancellationRequested(() => {
        abort.abort();
      });
      const listener = {
        step: (message: string): void => {
          progress.report({ message });
        },
        line: (text: string): void => {
          log.info(text);
        },
      };
      await install({ python, requirements, storage: session.storage }, listener, abort.signal);
    });
    return true;
  } catch (error) {
    if (error instanceof InstallError) {
      void tellInstallError(error);
      return false;
    }
    if (error instanceof Error && error.name === "AbortError") {
      return false;
    }
    throw error;
  }
}

async function tellNoPython(reason: string): Promise<void> {
  if ((await vscode.window.showErrorMessage(reason, "Open Setting")) !== undefined) {
    await openSetting("server.python");
  }
}

async function tellInstallError(error: InstallError): Promise<void> {
  const sentence = `midfill was not installed, and nothing was changed: ${error.message}`;
  const answer = await vscode.window.showErrorMessage(sentence, "Show Log", "Try Again");
  if (answer === "Show Log") {
    await vscode.commands.executeCommand(UiCommand.showLog);
  } else if (answer === "Try Again") {
    await vscode.commands.executeCommand(UiCommand.install);
  }
}
