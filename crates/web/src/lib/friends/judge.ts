/** Whose fault wrong bytes are. */

import { EDGE, type Part } from './shares';

interface Wrong {
  segment: number;
  hash: string;
  bytes: Uint8Array;
  parts: Part[];
}

export interface Guilty {
  source: string;
  /** Of what came. */
  hash: string;
}

/** Wrong segments of several sources wait for the right bytes; more than these are forgotten. */
const WAITING = 4;

function differ(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  if (b.length < to) return true;
  for (let i = from; i < to; i += 1) if (a[i] !== b[i]) return true;
  return false;
}

/**
 * A segment from one source is judged at once. One that is mixed blames nobody: its pieces are
 * compared when the segment has come whole and right.
 */
export class Judge {
  #waiting: Wrong[] = [];

  wrong(segment: number, hash: string, data: ArrayBuffer, parts: Part[]): Guilty[] {
    const sources = new Set(parts.map(({ source }) => source));
    if (sources.size === 1) return parts.slice(0, 1).filter(({ source }) => source !== EDGE).map(({ source }) => ({ source, hash }));
    if (sources.size > 1) this.#waiting = [...this.#waiting, { segment, hash, bytes: new Uint8Array(data), parts }].slice(-WAITING);
    return [];
  }

  right(segment: number, data: ArrayBuffer): Guilty[] {
    const good = new Uint8Array(data);
    const its = this.#waiting.filter((wrong) => wrong.segment === segment);
    this.#waiting = this.#waiting.filter((wrong) => wrong.segment !== segment);
    return its.flatMap(({ hash, bytes, parts }) =>
      parts
        .filter(({ source, from, to }) => source !== EDGE && differ(bytes, good, from, to))
        .map(({ source }) => ({ source, hash })),
    );
  }
}
