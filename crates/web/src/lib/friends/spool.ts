/** Receipts on their way to the server: kept while it is away, also past this page's end. */

import { pause } from '../poll';
import { keep, recall } from '../theme';
import type { Receipt } from './receipt';

export interface Post {
  session: string;
  token: string;
  receipts: Receipt[];
}

/** What a try to send came to; `old`: one of several is too old to be taken. */
export type Outcome = 'kept' | 'refused' | 'away' | 'old';

/** Sends; `last`: while the page ends, when browsers take little. */
export type Send = (post: Post, last: boolean) => Promise<Outcome>;

/** Half an hour of receipts; they are cumulative, so that older ones thin out without a loss. */
export const RECEIPTS = 60;
const SESSIONS = 8;
const STORED = 'receipts';
const AGAIN_MS = 3000;
/** Characters of receipts in one request: half of what the server takes. */
const MOST = 32 * 1024;

/** Every second of the older half goes; the newest always stays. */
export function thinned(receipts: Receipt[]): Receipt[] {
  if (receipts.length <= RECEIPTS) return receipts;
  const half = Math.floor(receipts.length / 2);
  return receipts.filter((_, i) => i >= half || i % 2 === 1);
}

/** The oldest that fit into one request, and one in any case. */
export function fitting(receipts: Receipt[]): Receipt[] {
  let length = 0;
  const over = receipts.findIndex((receipt) => (length += JSON.stringify(receipt).length) > MOST);
  return over < 0 ? receipts : receipts.slice(0, Math.max(1, over));
}

export class Spool {
  #waiting: Receipt[] = [];
  #failures = 0;
  #sending = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #send: Send;

  constructor(
    readonly session: string,
    readonly token: string,
    send: Send,
  ) {
    this.#send = send;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(receipt: Receipt): void {
    this.#waiting = thinned([...this.#waiting, receipt]);
    void this.#try();
  }

  /** The page ends: what the server didn't confirm yet is kept for the next page, and the newest of it sent. */
  leave(last: Receipt | undefined): void {
    if (last) this.#waiting = thinned([...this.#waiting, last]);
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) return;
    const post = this.#post(this.#waiting);
    store(post);
    // The newest says as much as the others together, if not when, and is small enough to outlive the page.
    void this.#send(this.#post(this.#waiting.slice(-1)), true).then((outcome) => outcome !== 'away' && forget(post));
  }

  #post(receipts: Receipt[]): Post {
    return { session: this.session, token: this.token, receipts };
  }

  async #try(): Promise<void> {
    if (this.#sending || this.#waiting.length === 0) return;
    clearTimeout(this.#timer);
    this.#sending = true;
    const post = this.#post(fitting(this.#waiting));
    const outcome = await this.#send(post, false);
    this.#sending = false;
    if (outcome === 'away') {
      this.#failures += 1;
      this.#timer = setTimeout(() => void this.#try(), pause(AGAIN_MS, this.#failures, Math.random()));
      return;
    }
    this.#failures = 0;
    // The newest says all that the others do.
    const newest = post.receipts.at(-1)?.counter ?? 0;
    const again = outcome === 'old' && post.receipts.length > 1;
    this.#waiting = this.#waiting.filter(({ counter }) => (again ? counter >= newest : counter > newest));
    await this.#try();
  }
}

function stored(): Post[] {
  try {
    const posts = JSON.parse(recall(STORED) ?? '[]') as Post[];
    return Array.isArray(posts) ? posts.slice(-SESSIONS) : [];
  } catch {
    return [];
  }
}

function write(posts: Post[]): void {
  keep(STORED, posts.length === 0 ? undefined : JSON.stringify(posts.slice(-SESSIONS)));
}

/** Each time that a session is opened counts by itself. */
function same(a: Post, b: Post): boolean {
  return a.session === b.session && a.receipts.at(-1)?.epoch === b.receipts.at(-1)?.epoch;
}

function store(post: Post): void {
  write([...stored().filter((other) => !same(other, post)), post]);
}

function forget(post: Post): void {
  write(stored().filter((other) => !same(other, post)));
}

/** Sends what pages before this one could not. */
export async function sendStored(send: Send): Promise<void> {
  for (const post of stored()) {
    for (let rest = post.receipts; rest.length > 0; ) {
      const receipts = fitting(rest);
      if ((await send({ ...post, receipts }, false)) === 'away') return;
      rest = rest.slice(receipts.length);
    }
    forget(post);
  }
}
