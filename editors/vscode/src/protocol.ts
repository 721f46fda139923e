/**
 * The custom part of the protocol, mirrored from docs/PROTOCOL.md; a test holds the two equal.
 *
 * Knows nothing of VS Code: positions and ranges are the protocol's own.
 */
import type { Position, Range } from "vscode-languageclient/node";

/** The server's commands, run with `workspace/executeCommand` and one object as the argument. */
export const ServerCommand = {
  fillHole: "midfill.fillHole",
  fillAllHoles: "midfill.fillAllHoles",
  fillFunction: "midfill.fillFunction",
  fillSelection: "midfill.fillSelection",
  proposeFill: "midfill.proposeFill",
  completeInline: "midfill.completeInline",
  accepted: "midfill.accepted",
  pause: "midfill.pause",
  resume: "midfill.resume",
  status: "midfill.status",
  stats: "midfill.stats",
  restartResident: "midfill.restartResident",
} as const;

/** Sent by the server to clients that say `experimental.midfill.status` in `initialize`. */
export const DID_CHANGE_STATUS = "midfill/didChangeStatus";

/** What the extension asks of the server: the argument and the result of each command that it runs. */
export interface Exchange {
  [ServerCommand.fillHole]: [{ uri: string; version: number; position: Position }, null];
  [ServerCommand.fillAllHoles]: [{ uri: string; version: number }, null];
  [ServerCommand.fillFunction]: [{ uri: string; version: number; position: Position }, null];
  [ServerCommand.fillSelection]: [{ uri: string; version: number; range: Range }, null];
  [ServerCommand.pause]: [PauseTarget, Pauses];
  [ServerCommand.resume]: [PauseTarget, Pauses];
  [ServerCommand.status]: [{ uri?: string }, FullStatus];
  [ServerCommand.stats]: [object, Record<string, number | boolean>];
  [ServerCommand.restartResident]: [object, FullStatus];
}

/** folder: the URI of a workspace folder. */
export type PauseTarget =
  { scope: "global" } | { scope: "language"; language: string } | { scope: "workspace"; folder: string };

/** languages: VS Code's identifiers. folders: paths. */
export interface Pauses {
  readonly global: boolean;
  readonly languages: readonly string[];
  readonly folders: readonly string[];
}

/** The one line that an editor shows. Inactive: nothing comes before it is asked for. */
export interface Status {
  readonly busy: boolean;
  readonly message: string;
  readonly kind: "Normal" | "Warning" | "Error" | "Inactive";
  readonly command?: { readonly title: string; readonly command: string; readonly arguments?: readonly unknown[] };
}

/** document.reason: why nothing of it is sent, null if it may be. */
export interface FullStatus extends Status {
  readonly model: { readonly name: string; readonly device: string; readonly precision: string } | null;
  readonly paused: Pauses;
  readonly document?: {
    readonly uri: string;
    readonly language: string;
    readonly reason: string | null;
    readonly inline: "model" | "memory" | "off";
  };
}
