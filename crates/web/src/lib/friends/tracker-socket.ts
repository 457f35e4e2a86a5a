/**
 * The tracker's socket, in the place of the one that p2p-media-loader's tracker client would use: that
 * one waits up to five minutes after a break. This one comes back within seconds and tells nobody; the
 * client announces again at its interval.
 */

import { pause } from '../poll';

type Listener = (value?: unknown) => void;

const AGAIN_MS = 2000;
const OPEN_WITHIN_MS = 8000;

export default class TrackerSocket {
  connected = false;
  destroyed = false;
  /** Counted by the tracker client: several streams share a socket. */
  consumers = 0;
  #url: string;
  #socket: WebSocket | undefined;
  #listeners = new Map<string, Set<Listener>>();
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ url }: { url: string }) {
    this.#url = url;
    // Whoever made it listens first.
    queueMicrotask(() => this.#open());
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
