/**
 * A piece of a document that is followed through edits elsewhere; an edit in it makes it void.
 *
 * Knows nothing of VS Code. Offsets in code units.
 */

/** text: what stood there when it was first followed. */
export interface Region {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A change of a text, as VS Code tells it. */
export interface Change {
  readonly rangeOffset: number;
  readonly rangeLength: number;
  readonly text: string;
}

/** Where the region is after changes that led to `text`; undefined if one was in it. What is typed at its edges is not. */
export function followed(region: Region, changes: readonly Change[], text: string): Region | undefined {
  let { start, end } = region;
  for (const { rangeOffset, rangeLength, text: inserted } of changes) {
    if (rangeOffset + rangeLength <= start) {
      const moved = inserted.length - rangeLength;
      start += moved;
      end += moved;
    } else if (rangeOffset < end) {
      return undefined;
    }
  }
  return text.slice(start, end) === region.text ? { ...region, start, end } : undefined;
}
