/** Addresses that play a stream which isn't for everybody. They open for five minutes; then others are needed. */

import { openPlayback } from './api/streams';
import type { PlaybackSession, Stream } from './api/types';

const FRESH_MS = 4 * 60_000;

export function needsToken(stream: Pick<Stream, 'visibility' | 'state' | 'testing'>): boolean {
  return stream.visibility === 'private' || stream.state === 'testing' || (stream.testing && stream.state === 'ready');
}

export class PlaybackAccess {
  #name: string;
  #share: string | undefined;
  #opened: Promise<PlaybackSession> | undefined;
  #at = 0;

  constructor(name: string, share?: string) {
    this.#name = name;
    this.#share = share;
  }

  /** A session young enough to open something. */
  session(): Promise<PlaybackSession> {
    if (!this.#opened || Date.now() - this.#at > FRESH_MS) return this.fresh();
    return this.#opened;
  }

  fresh(): Promise<PlaybackSession> {
    const opened = openPlayback(this.#name, this.#share);
    this.#opened = opened;
    this.#at = Date.now();
    opened.catch(() => {
      if (this.#opened === opened) this.#opened = undefined;
    });
    return opened;
  }

  /** What the player opens. */
  readonly playlist = async (): Promise<string> => (await this.session()).playlist;
}
