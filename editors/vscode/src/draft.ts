/**
 * A document's text with a draft or a finished version in place of the region that is written again.
 *
 * Knows nothing of VS Code. Offsets in code units of `text`.
 */
import type { DraftPiece } from "./protocol";
import type { Region } from "./region";

/** Half-open. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** unsettled: what the model may still change. drafted: what stands in place of the region. */
export interface Drafted {
  readonly text: string;
  readonly unsettled: readonly Span[];
  readonly drafted: Span;
}

/** eol: the line break of `text`, which the pieces get too. */
export function draftedIn(text: string, region: Region, pieces: readonly DraftPiece[], eol: string): Drafted {
  let drawn = text.slice(0, region.start);
  const unsettled: Span[] = [];
  for (const piece of pieces) {
    const start = drawn.length;
    drawn += withLineBreaks(piece.text, eol);
    if (!piece.settled) {
      unsettled.push({ start, end: drawn.length });
    }
  }
  const drafted = { start: region.start, end: drawn.length };
  return { text: drawn + text.slice(region.end), unsettled, drafted };
}

export function withLineBreaks(text: string, eol: string): string {
  return text.replaceAll(/\r\n|\r|\n/g, eol);
}
