/**
 * A connection to a peer, in the place of the one that p2p-media-loader's tracker client would make. It
 * lets the page see what is asked and answered, refuse a peer, and close it: the loader itself can't.
 */

import Plain from 'streamr:simple-peer';
import { said, type Said } from './wire';

/** As much of a simple-peer as is used here. */
interface Connection {
  /** Hex of the peer id, from when the peer is known. */
  id: string | undefined;
  on(event: string, listener: (value: Uint8Array) => void): void;
  once(event: string, listener: () => void): void;
  signal(data: unknown): void;
  write(data: Uint8Array): boolean;
  destroy(): void;
}

export interface Watcher {
  /** Whether this peer is kept out. */
  refuses(peer: string): boolean;
  opened(peer: string): void;
  closed(peer: string): void;
  asked(peer: string, what: Said): void;
  answered(peer: string, what: Said): void;
}

const open = new Map<string, Set<Connection>>();
let watcher: Watcher | undefined;

export function watch(its: Watcher | undefined): void {
  watcher = its;
}

/** Closes every connection to a peer. */
export function close(peer: string): void {
  for (const connection of [...(open.get(peer) ?? [])]) connection.destroy();
}

function name({ id }: Connection): string {
  return (id ?? '').replace(/../g, (byte) => String.fromCharCode(parseInt(byte, 16)));
}

const Base = Plain as unknown as new (options: unknown) => Connection;

export default class WatchedPeer extends Base {
  constructor(options: unknown) {
    super(options);
    this.once('connect', () => this.#connected());
  }

  override signal(data: unknown): void {
    if (watcher?.refuses(name(this))) this.destroy();
    else super.signal(data);
  }

  override write(data: Uint8Array): boolean {
    const what = said(data);
    if (what) watcher?.asked(name(this), what);
    return super.write(data);
  }

  #connected(): void {
    const peer = name(this);
    if (watcher?.refuses(peer)) {
      this.destroy();
      return;
    }
    open.set(peer, (open.get(peer) ?? new Set()).add(this));
    watcher?.opened(peer);
    this.on('data', (data) => {
      const what = said(data);
      if (what) watcher?.answered(peer, what);
    });
    this.once('close', () => {
      open.get(peer)?.delete(this);
      if ((open.get(peer)?.size ?? 0) > 0) return;
      open.delete(peer);
      watcher?.closed(peer);
    });
  }
}
