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

/** Half an hour of receipts; they are cumulative, so that older ones thin out without a loss. */
export const RECEIPTS = 60;
const SESSIONS = 8;
const STORED = 'receipts';
const AGAIN_MS = 3000;

/** Every second of the older half goes; the newest always stays. */
export function thinned(receipts: Receipt[]): Receipt[] {
  if (receipts.length <= RECEIPTS) return receipts;
  const half = Math.floor(receipts.length / 2);
  return receipts.filter((_, i) => i >= half || i % 2 === 1);
}

export class Spool {
  #waiting: Receipt[] = [];
  #failures = 0;
  #sending = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #send: (post: Post) => Promise<Outcome>;

  constructor(
    readonly session: string,
    readonly token: string,
    send: (post: Post) => Promise<Outcome>,
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

  /** The page ends: what the server didn't confirm yet is sent, and kept for the next page. */
  leave(last: Receipt | undefined): void {
    if (last) this.#waiting = thinned([...this.#waiting, last]);
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) return;
    const post = this.#post();
    store(post);
    void this.#send(post).then((outcome) => outcome !== 'away' && forget(this.session));
  }

  #post(): Post {
    return { session: this.session, token: this.token, receipts: this.#waiting };
  }

  async #try(): Promise<void> {
    if (this.#sending || this.#waiting.length === 0) return;
    clearTimeout(this.#timer);
    this.#sending = true;
    const post = this.#post();
    const outcome = await this.#send(post);
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

function store(post: Post): void {
  write([...stored().filter(({ session }) => session !== post.session), post]);
}

function forget(its: string): void {
  write(stored().filter(({ session }) => session !== its));
}

/** Sends what pages before this one could not. */
export async function sendStored(send: (post: Post) => Promise<Outcome>): Promise<void> {
  for (const post of stored()) {
    if ((await send(post)) === 'away') return;
    forget(post.session);
  }
}
