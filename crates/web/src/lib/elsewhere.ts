/** Going on at another server of those that a multivariant names, when one is gone. */

/** A server that failed is left alone for as long as this, unless all did. */
const REST_MS = 10_000;
/** A move takes a moment: errors of the server before it are no reason to move again. */
const SETTLE_MS = 800;

export class Servers {
  #failedAt = new Map<number, number>();
  #movedAt = -Infinity;

  /** Which of `count` servers to load from after `current` failed; `undefined`: stay. */
  after(current: number, count: number, now: number): number | undefined {
    if (count < 2 || now - this.#movedAt < SETTLE_MS) return undefined;
    this.#failedAt.set(current, now);
    const rested = (server: number): number => now - (this.#failedAt.get(server) ?? -Infinity);
    let best: number | undefined;
    for (let step = 1; step < count; step += 1) {
      const server = (current + step) % count;
      if (best === undefined || (rested(best) < REST_MS && rested(server) > rested(best))) best = server;
    }
    this.#movedAt = now;
    return best;
  }
}
