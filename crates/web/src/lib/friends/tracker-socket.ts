/**
 * The tracker's socket, in the place of the one that p2p-media-loader's tracker client would use: that
 * one waits up to five minutes after a break. This one comes back within seconds and tells nobody; the
 * client makes offers again at its interval. It opens when it may: offers are made then, and connecting to
 * peers must not delay the first picture.
 */

import { pause } from '../poll';

type Listener = (value?: unknown) => void;

const AGAIN_MS = 2000;
const OPEN_WITHIN_MS = 8000;

/** What an announce says of who is there; nothing of answers, and of who leaves. */
export function present(message: string): string | undefined {
  const { offers, event, ...said } = JSON.parse(message) as Record<string, unknown>;
  return Array.isArray(offers) && event !== 'stopped' ? JSON.stringify({ ...said, numwant: 0, offers: [] }) : undefined;
}

let opens: Promise<void> = Promise.resolve();

/** Sockets made from now on open after this. */
export function openAfter(moment: Promise<void>): void {
  opens = moment;
}

export default class TrackerSocket {
  connected = false;
  destroyed = false;
  /** Counted by the tracker client: several streams share a socket. */
  consumers = 0;
  #url: string;
  #socket: WebSocket | undefined;
  #listeners = new Map<string, Set<Listener>>();
  #failures = 0;
  /** An announce without offers: who comes back is known by it, and can be called. */
  #presence: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ url }: { url: string }) {
    this.#url = url;
    // Whoever made it listens first.
    void opens.then(() => this.#open());
  }

  on(event: string, listener: Listener): this {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return this;
  }

  once(event: string, listener: Listener): this {
    const first: Listener = (value) => {
      this.removeListener(event, first);
      listener(value);
    };
    return this.on(event, first);
  }

  removeListener(event: string, listener: Listener): this {
    this.#listeners.get(event)?.delete(listener);
    return this;
  }

  /** What is said while it is away is lost: offers are stale by then. */
  send(message: string): void {
    const presence = present(message);
    if (presence !== undefined) this.#presence = presence;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.connected = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
    this.#emit('close');
  }

  #emit(event: string, value?: unknown): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(value);
  }

  #open(): void {
    if (this.destroyed) return;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#timer = setTimeout(() => socket.close(), OPEN_WITHIN_MS);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#failures = 0;
      if (this.#presence !== undefined) socket.send(this.#presence);
      this.connected = true;
      this.#emit('connect');
    };
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (typeof data === 'string') this.#emit('data', new TextEncoder().encode(data));
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      clearTimeout(this.#timer);
      this.connected = false;
      this.#socket = undefined;
      if (this.destroyed) return;
      this.#failures += 1;
      this.#timer = setTimeout(() => this.#open(), pause(AGAIN_MS, this.#failures, Math.random()));
    };
  }
}
