/**
 * The language server's life in this window: found, started, watched, started again. One start or stop at a time.
 *
 * Knows nothing of what people ask the server for; `ServerState` is all that the others see of its life.
 */
import { mkdirSync } from "node:fs";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  State,
  type StaticFeature,
} from "vscode-languageclient/node";
import { judgeCrash } from "./crashes";
import { DOCUMENT_SELECTOR } from "./languages";
import { locateServer, type ServerProgram } from "./locate";
import { DID_CHANGE_STATUS, SHOWN_BY_CLIENT, type Status } from "./protocol";
import { readSettings, SECTION } from "./settings";

export type ServerState =
  | { readonly kind: "stopped" | "untrusted" | "missing" | "starting" }
  | { readonly kind: "running"; readonly status: Status | undefined }
  | { readonly kind: "failed"; readonly reason: string };

/** crash: it ran and died. start: it did not come up. reason: a sentence. */
export interface Trouble {
  readonly kind: "crash" | "start";
  readonly reason: string;
  readonly startsAgain: boolean;
}

export class Session implements vscode.Disposable {
  private current: LanguageClient | undefined;
  private lastState: ServerState = { kind: "stopped" };
  private turn: Promise<void> = Promise.resolve();
  private crashes: readonly number[] = [];
  private readonly stateChanged = new vscode.EventEmitter<ServerState>();
  private readonly troubled = new vscode.EventEmitter<Trouble>();
  private readonly clientMade = new vscode.EventEmitter<LanguageClient>();
  readonly onDidChangeState = this.stateChanged.event;
  readonly onTrouble = this.troubled.event;
  /** A client that is about to start, for those who listen to notifications. */
  readonly onClient = this.clientMade.event;

  /** storage: the extension's folder on this machine. */
  constructor(
    private readonly log: vscode.LogOutputChannel,
    readonly storage: string,
  ) {}

  get state(): ServerState {
    return this.lastState;
  }

  /** The client while the server runs. */
  get client(): LanguageClient | undefined {
    return this.current?.state === State.Running ? this.current : undefined;
  }

  /** Stop the server if it runs, and start it. Calls take turns: two at once are two restarts, one after the other. */
  restart(): Promise<void> {
    this.giveUpStart();
    return this.inTurn(async () => {
      await this.stopNow();
      await this.startNow();
    });
  }

  stop(): Promise<void> {
    this.giveUpStart();
    return this.inTurn(() => this.stopNow());
  }

  dispose(): void {
    void this.stop();
    this.stateChanged.dispose();
    this.troubled.dispose();
    this.clientMade.dispose();
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    this.turn = this.turn.then(work).catch((error: unknown) => {
      this.log.error(error instanceof Error ? error : String(error));
    });
    return this.turn;
  }

  private async startNow(): Promise<void> {
    if (!vscode.workspace.isTrusted) {
      this.become({ kind: "untrusted" });
      return;
    }
    const program = locateServer({
      setting: readSettings().command,
      storage: this.storage,
      path: process.env["PATH"] ?? "",
    });
    if (program === undefined) {
      this.become({ kind: "missing" });
      return;
    }
    this.become({ kind: "starting" });
    const client = this.clientOf(program);
    this.current = client;
    try {
      this.log.info(`Starting ${[program.command, ...program.arguments].join(" ")} (from ${program.origin}).`);
      await client.start();
      this.become({ kind: "running", status: undefined });
    } catch (error) {
      if (this.current !== client) {
        return; // given up
      }
      this.current = undefined;
      const why = error instanceof Error ? error.message : String(error);
      const reason = `The server ${program.command} (from ${program.origin}) did not start: ${why}`;
      this.become({ kind: "failed", reason });
      this.troubled.fire({ kind: "start", reason, startsAgain: false });
    }
  }

  /** End a server that has not answered yet: one that never does would hold up all that wait for their turn. */
  private giveUpStart(): void {
    const server = this.lastState.kind === "starting" ? this.current?.serverProcess : undefined;
    if (server !== undefined) {
      this.current = undefined;
      server.kill("SIGKILL");
    }
  }

  private async stopNow(): Promise<void> {
    const client = this.current;
    this.current = undefined; // from here on its end is no crash
    if (client?.needsStop() === true) {
      await client.stop().catch((error: unknown) => {
        this.log.warn(`The server did not take its leave: ${String(error)}`);
      });
    }
    this.become({ kind: "stopped" });
  }

  private clientOf(program: ServerProgram): LanguageClient {
    mkdirSync(this.storage, { recursive: true });
    const options: LanguageClientOptions = {
      documentSelector: DOCUMENT_SELECTOR,
      outputChannel: this.log,
      initializationFailedHandler: () => false, // `start` tells of it
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => ({ action: CloseAction.DoNotRestart, handled: true, message: "The server is gone." }),
      },
    };
    // Not in the workspace: a program should not find its modules among files that a person only wants to read.
    const executable = { command: program.command, args: [...program.arguments], options: { cwd: this.storage } };
    const client = new Client(SECTION, "midfill", executable, options);
    client.registerFeature(SAYS_WHAT_IT_SHOWS);
    this.clientMade.fire(client);
    client.onNotification(DID_CHANGE_STATUS, (status: Status) => {
      if (this.current === client) {
        this.become({ kind: "running", status });
      }
    });
    client.onDidChangeState(({ oldState, newState }) => {
      if (oldState === State.Running && newState === State.Stopped && this.current === client) {
        this.afterCrash();
      }
    });
    return client;
  }

  private afterCrash(): void {
    this.current = undefined;
    const verdict = judgeCrash(this.crashes, Date.now());
    this.crashes = verdict.recent;
    const reason = verdict.startAgain
      ? "The midfill server stopped unexpectedly and was started again."
      : `The midfill server stopped ${verdict.recent.length} times in a few minutes and stays down.`;
    this.become({ kind: "failed", reason });
    if (verdict.tell) {
      this.troubled.fire({ kind: "crash", reason, startsAgain: verdict.startAgain });
    }
    if (verdict.startAgain) {
      void this.restart();
    }
  }

  private become(state: ServerState): void {
    this.lastState = state;
    this.stateChanged.fire(state);
  }
}

/** The session tells of a server that does not come up or goes; the client's own notice of it would be a second one. */
class Client extends LanguageClient {
  override error(message: string, data?: unknown, showNotification?: boolean | "force"): void {
    super.error(message, data, this.state === State.Running ? showNotification : false);
  }
}

const SAYS_WHAT_IT_SHOWS: StaticFeature = {
  fillClientCapabilities: (capabilities) => {
    const others = capabilities.experimental as object | undefined;
    capabilities.experimental = { ...others, midfill: SHOWN_BY_CLIENT };
  },
  initialize: () => undefined,
  getState: () => ({ kind: "static" }),
  clear: () => undefined,
};
