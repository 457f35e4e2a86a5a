/** Which peers are kept out: for wrong bytes for good, for slowness for a while. */

export type Reason = 'digest' | 'absent' | 'slow';

/**
 * So often in a row a peer may say nothing, or not have what it announced. One that answers, but too
 * slowly, has twice as many chances: a line that is busy now is better than none.
 */
const CHANCES = 3;
const SLOW = 0.5;
/** The first rest; each is twice as long as the one before. */
const REST_MS = 15_000;
const LONGEST_REST_MS = 300_000;

export class Conduct {
  #strikes = new Map<string, number>();
  #until = new Map<string, number>();
  #rests = new Map<string, number>();
  #reported = new Set<string>();
  #proven = new Set<string>();

  /** A segment came from it, whole. */
  good(peer: string): void {
    this.#strikes.delete(peer);
  }

  /** Bytes of it verified, of a segment that it gave or only began. */
  prove(peer: string): void {
    this.#proven.add(peer);
  }

  /** Whether bytes of it verified before. */
  proven(peer: string): boolean {
    return this.#proven.has(peer);
  }

  /** Whether that was once too often, so that it rests. A busy moment passes; whoever stays slow rests longer. */
  strike(peer: string, answered: boolean, now: number): boolean {
    const strikes = (this.#strikes.get(peer) ?? 0) + (answered ? SLOW : 1);
    if (strikes < CHANCES) {
      this.#strikes.set(peer, strikes);
      return false;
    }
    this.#strikes.delete(peer);
    const rests = this.#rests.get(peer) ?? 0;
    const until = now + Math.min(REST_MS * 2 ** rests, LONGEST_REST_MS);
    this.#rests.set(peer, rests + 1);
    if ((this.#until.get(peer) ?? 0) < until) this.#until.set(peer, until);
    return true;
  }

  ban(peer: string): void {
    this.#proven.delete(peer);
    this.#until.set(peer, Infinity);
  }

  out(peer: string, now: number): boolean {
    return (this.#until.get(peer) ?? -Infinity) > now;
  }

  /** Whether its wrong bytes are to be reported: once. That it rests is reported each time, and rests get longer. */
  toReport(peer: string): boolean {
    if (this.#reported.has(peer)) return false;
    this.#reported.add(peer);
    return true;
  }
}
