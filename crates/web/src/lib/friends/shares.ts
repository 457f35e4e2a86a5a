/**
 * Who gave which bytes of a segment. A segment may be begun by one source and resumed by another, so
 * each attempt is kept with the byte it began at; bytes count once the whole segment verified.
 */

/** Our own servers, among the sources. Peers go by their peer id. */
export const EDGE = 'edge';

export interface Part {
  source: string;
  from: number;
  to: number;
}

interface Attempt {
  source: string;
  from: number;
}

/** So many of the newest segments are kept in mind. */
const KEPT = 64;

export class Shares {
  /** Verified bytes. */
  readonly given = new Map<string, number>();
  /** Bytes that came and were wrong. */
  readonly rejected = new Map<string, number>();
  verified = 0;
  refused = 0;
  #gaveAt = new Map<string, number>();
  #attempts = new Map<number, Attempt[]>();

  /** Bytes of a segment are asked of a source, from this one on. */
  begin(segment: number, source: string, from: number): void {
    // What came after that byte before was thrown away.
    const before = (this.#attempts.get(segment) ?? []).filter((attempt) => attempt.from < from);
    this.#attempts.set(segment, [...before, { source, from }]);
    for (const old of this.#attempts.keys()) {
      if (this.#attempts.size <= KEPT) break;
      this.#attempts.delete(old);
    }
  }

  /** Who gave what of the bytes that are there. */
  parts(segment: number, length: number): Part[] {
    const attempts = this.#attempts.get(segment) ?? [];
    return attempts
      .map(({ source, from }, i) => ({ source, from, to: Math.min(length, attempts[i + 1]?.from ?? length) }))
      .filter(({ from, to }) => to > from);
  }

  /** It verified and is whole: its bytes count. */
  commit(segment: number, length: number, now: number): Part[] {
    const parts = this.parts(segment, length);
    if (parts.length === 0) return [];
    this.#attempts.delete(segment);
    this.verified += 1;
    for (const { source, from, to } of parts) {
      this.given.set(source, (this.given.get(source) ?? 0) + to - from);
      this.#gaveAt.set(source, now);
    }
    return parts;
  }

  /** It is wrong, and thrown away. */
  reject(segment: number, length: number): Part[] {
    const parts = this.parts(segment, length);
    this.#attempts.delete(segment);
    this.refused += 1;
    for (const { source, from, to } of parts) this.rejected.set(source, (this.rejected.get(source) ?? 0) + to - from);
    return parts;
  }

  /** Who gave verified bytes since then. */
  since(time: number): string[] {
    return [...this.#gaveAt].filter(([, at]) => at >= time).map(([source]) => source);
  }
}
