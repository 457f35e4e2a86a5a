/** One tab at a time. The browser's locks do it; on plain http, which has none, a note in storage does. */

import { keep, recall } from './theme';

const LEASE_MS = 10_000;
const SETTLE_MS = 60;

/** Whether another tab holds the note `value` at `now`. */
export function held(value: string | undefined, me: string, now: number): boolean {
  const [owner, until] = (value ?? '').split(' ');
  return owner !== me && Number(until) > now;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function lease<T>(name: string, task: () => Promise<T>): Promise<T> {
  const me = String(crypto.getRandomValues(new Uint32Array(1))[0]);
  for (;;) {
    while (held(recall(name), me, Date.now())) await wait(SETTLE_MS * (1 + Math.random()));
    const note = `${me} ${Date.now() + LEASE_MS}`;
    keep(name, note);
    // Two may have written at once: the last one stands.
    await wait(SETTLE_MS);
    const standing = recall(name);
    if (standing === note || standing === undefined) break;
  }
  try {
    return await task();
  } finally {
    keep(name, undefined);
  }
}

export function inTurn<T>(name: string, task: () => Promise<T>): Promise<T> {
  if ('locks' in navigator) return navigator.locks.request(name, task) as Promise<T>;
  return lease(name, task);
}
