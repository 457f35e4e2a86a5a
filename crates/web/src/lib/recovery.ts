/** What the player does about a fatal error. Pure, so that the order can be tested. */

export type Step = 'resume' | 'repair' | 'rebuild' | 'give up';

export interface Failure {
  kind: 'network' | 'media' | 'codec' | 'other';
  /** The HTTP status, where there was an answer. */
  status?: number | undefined;
  /** It was the first playlist: there is nothing to resume. */
  atStart?: boolean;
}

/** Tries of the gentler step before the next one. */
const RESUMES = 4;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4000;

/** `failures` counts this one and those before it since data last arrived. */
export function step(failure: Failure, failures: number): Step {
  switch (failure.kind) {
    case 'codec':
      return 'give up';
    case 'media':
      return failures <= 1 ? 'repair' : 'rebuild';
    case 'network': {
      // A session that the server no longer knows: only a new one helps.
      const forgotten = failure.status === 404 || failure.status === 410 || failure.status === 403;
      return failure.atStart || forgotten || failures > RESUMES ? 'rebuild' : 'resume';
    }
    default:
      return 'rebuild';
  }
}

/** Milliseconds before the step; `random` in [0, 1) keeps viewers apart. */
export function delay(failures: number, random: number): number {
  const longer = Math.min(FIRST_PAUSE_MS * 2 ** Math.max(0, failures - 1), LONGEST_PAUSE_MS);
  return longer * (0.75 + random / 2);
}
