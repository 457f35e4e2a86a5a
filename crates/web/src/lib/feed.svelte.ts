/** A stream as it changes: told by the server, asked for where it doesn't tell. */

import { ApiError, asApiError } from './api/error';
import { fill, request } from './api/http';
import { stream as getStream } from './api/streams';
import type { Health, HealthSample, Stream } from './api/types';
import { pause, poll, type Poll } from './poll';
import { session } from './session.svelte';
import { readEvents, type ServerEvent } from './sse';

export type HealthEvent = HealthSample & { now: Health };

interface Options {
  share?: string | undefined;
  /** How often to ask while the server doesn't tell. */
  everyMs?: () => number;
  onhealth?: (event: HealthEvent) => void;
  /** It is told again: what was said meanwhile was missed. */
  onresume?: () => void;
}

const EVERY_MS = 5000;
const AGAIN_MS = 2000;

export class StreamFeed {
  stream = $state.raw<Stream | undefined>(undefined);
  problem = $state.raw<ApiError | undefined>(undefined);
  /** When what is shown was last heard. */
  asOf = $state('');
  told = $state(false);

  readonly #name: string;
  readonly #options: Options;
  readonly #polling: Poll;
  #stopped = new AbortController();
  #listening: AbortController | undefined;
  #failures = 0;
  #heard = false;
  #asked = false;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string, options: Options = {}) {
    this.#name = name;
    this.#options = options;
    this.#polling = poll(
      (signal) => this.#ask(signal),
      () => this.#pace(),
    );
    // A tab that nobody sees leaves its connection to others.
    document.addEventListener('visibilitychange', () => this.#seen(), { signal: this.#stopped.signal });
  }

  get missing(): boolean {
    return this.problem?.kind === 'missing' || this.problem?.kind === 'refused';
  }

  /** Ask now. */
  now(): void {
    this.#polling.now();
  }

  /** The answer to a change made here. */
  set(stream: Stream): void {
    this.stream = stream;
    this.asOf = new Date().toISOString();
    this.problem = undefined;
  }

  stop(): void {
    this.#stopped.abort();
    this.#listening?.abort();
    clearTimeout(this.#again);
    this.#polling.stop();
  }

  /** A stream that isn't there is not asked for again. */
  #pace(): number | undefined {
    if (this.missing || this.told) return undefined;
    return this.#options.everyMs?.() ?? EVERY_MS;
  }

  async #ask(signal: AbortSignal): Promise<void> {
    if (this.told) return;
    try {
      this.set(await this.#get(signal));
      if (this.#again === undefined) this.#listen();
    } catch (error) {
      if (signal.aborted) return;
      this.problem = asApiError(error);
      if (!this.missing) throw error;
    }
  }

  /**
   * A private stream answers its owner only. The first question doesn't wait until it is known who
   * that is, so it may have to be asked again.
   */
  async #get(signal: AbortSignal): Promise<Stream> {
    const ask = { share: this.#options.share, signal };
    const again = !this.#asked;
    this.#asked = true;
    try {
      return await getStream(this.#name, ask);
    } catch (error) {
      if (!again || asApiError(error).kind !== 'missing' || (await session.known()) !== 'in') throw error;
      return getStream(this.#name, ask);
    }
  }

  #seen(): void {
    if (document.visibilityState === 'hidden') this.#listening?.abort();
    else if (this.stream) this.#listen();
  }

  #listen(): void {
    if (this.#listening || this.#stopped.signal.aborted || document.visibilityState === 'hidden') return;
    const listening = new AbortController();
    this.#listening = listening;
    clearTimeout(this.#again);
    this.#again = undefined;
    void this.#hear(listening.signal).finally(() => {
      this.#listening = undefined;
      this.told = false;
      if (!this.#stopped.signal.aborted && !this.missing) this.#listenLater();
    });
  }

  /** Until then it is asked for. */
  #listenLater(): void {
    this.#failures += 1;
    this.#again = setTimeout(
      () => {
        this.#again = undefined;
        this.#listen();
      },
      pause(AGAIN_MS, this.#failures, Math.random()),
    );
    this.#polling.now();
  }

  async #hear(signal: AbortSignal): Promise<void> {
    const address = fill('/streams/{stream}/events', { stream: this.#name });
    const ask = { share: this.#options.share };
    try {
      const answer = await request('GET', address, ask, 'text/event-stream', signal);
      if (answer.body) await readEvents(answer.body, (event) => this.#take(event));
    } catch {
      // then it is asked for, and listened to again later
    }
  }

  #take({ event, data }: ServerEvent): void {
    if (event === 'stream') {
      if (!this.told && this.#heard) this.#options.onresume?.();
      this.told = true;
      this.#heard = true;
      this.#failures = 0;
      this.set(JSON.parse(data) as Stream);
    } else if (event === 'health') {
      const heard = JSON.parse(data) as HealthEvent;
      this.asOf = heard.at;
      this.#options.onhealth?.(heard);
    } else if (event === 'gone') {
      this.problem = new ApiError('missing', 'The stream is gone.');
      this.#listening?.abort();
    }
  }
}
