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
  rewriteRegion: "midfill.rewriteRegion",
  proposeRewrite: "midfill.proposeRewrite",
  fillSpots: "midfill.fillSpots",
  updateCalls: "midfill.updateCalls",
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
/** Sent while a `proposeRewrite` with a `draftsToken` runs. */
export const DRAFT = "midfill/draft";
/** Sent to clients that say `experimental.midfill.uncertainSpots`, whenever the spots of a document are others. */
export const UNCERTAIN_SPOTS = "midfill/uncertainSpots";
/** What this client says of itself in `initialize`, as `experimental.midfill`. */
export const SHOWN_BY_CLIENT = { status: true, uncertainSpots: true } as const;

/** What the extension asks of the server: the argument and the result of each command that it runs. */
export interface Exchange {
  [ServerCommand.fillHole]: [{ uri: string; version: number; position: Position }, null];
  [ServerCommand.fillAllHoles]: [{ uri: string; version: number }, null];
  [ServerCommand.fillFunction]: [{ uri: string; version: number; position: Position }, null];
  [ServerCommand.fillSelection]: [{ uri: string; version: number; range: Range }, null];
  [ServerCommand.proposeRewrite]: [RewriteQuestion, ProposedRewrite];
  [ServerCommand.fillSpots]: [{ uri: string; version: number; position?: Position }, null];
  [ServerCommand.updateCalls]: [{ uri: string; version: number; position: Position }, null];
  [ServerCommand.pause]: [PauseTarget, Pauses];
  [ServerCommand.resume]: [PauseTarget, Pauses];
  [ServerCommand.status]: [{ uri?: string }, FullStatus];
  [ServerCommand.stats]: [object, Record<string, number | boolean>];
  [ServerCommand.restartResident]: [object, FullStatus];
}

/** What is wanted of a region: at most one of verb and instruction; with neither, another version. strength: above 0, up to 1. */
export interface Wish {
  readonly verb?: string;
  readonly instruction?: string;
  readonly strength?: number;
}

/** seed: another one brings other candidates. draftsToken: under which drafts are told. */
export interface RewriteQuestion extends Wish {
  readonly uri: string;
  readonly version: number;
  readonly range: Range;
  readonly seed: number;
  readonly candidates: number;
  readonly draftsToken: number;
}

/** version: the document's that it is for. range: what is written again. candidates: best first, at least one. */
export interface ProposedRewrite {
  readonly uri: string;
  readonly version: number;
  readonly range: Range;
  readonly oldText: string;
  readonly candidates: readonly { readonly newText: string; readonly confidence: number }[];
}

/** token: that of the question. canvas: 1 for the second where two are raced. range: what is written again. */
export interface Draft {
  readonly token: number;
  readonly canvas: number;
  readonly step: number;
  readonly range: Range;
  readonly pieces: readonly DraftPiece[];
}

export interface DraftPiece {
  readonly text: string;
  readonly settled: boolean;
}

/** spots: what the model was unsure of in fills that were taken. confidence: from 0 to 1. */
export interface UncertainSpots {
  readonly uri: string;
  readonly version: number;
  readonly spots: readonly { readonly range: Range; readonly confidence: number }[];
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
  readonly model: Model | null;
  readonly paused: Pauses;
  readonly document?: {
    readonly uri: string;
    readonly language: string;
    readonly reason: string | null;
    readonly inline: "model" | "memory" | "off";
  };
}

/** verbs: what it has learnt to do with a region. instructions: whether free ones are followed. */
export interface Model {
  readonly name: string;
  readonly device: string;
  readonly precision: string;
  readonly verbs: readonly { readonly name: string; readonly title: string }[];
  readonly instructions: boolean;
}
