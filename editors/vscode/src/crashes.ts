/** What to do when the server has died: start it again, until it dies too often; tell a person once. */

/** Deaths within this time count together, in milliseconds. */
export const CRASH_WINDOW_MS = 3 * 60 * 1000;
/** The death, of those that count together, after which the server stays down. */
export const FATAL_CRASH = 5;

/** recent: the times (ms) that still count, this death included. */
export interface Verdict {
  readonly recent: readonly number[];
  readonly startAgain: boolean;
  readonly tell: boolean;
}

export function judgeCrash(earlier: readonly number[], nowMs: number): Verdict {
  const recent = [...earlier.filter((time) => nowMs - time < CRASH_WINDOW_MS), nowMs];
  const startAgain = recent.length < FATAL_CRASH;
  return { recent, startAgain, tell: recent.length === 1 || !startAgain };
}
