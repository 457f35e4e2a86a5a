/** Which peers are friends' nodes, whose they are, and which are to be left: the server says so. */

import { readEvents, type ServerEvent } from '../sse';
import { pause } from '../poll';

export interface Carrier {
  node: string;
  name: string;
}

interface Told {
  nodes: { peer_id: string; node: string; name: string }[];
  dropped: string[];
}

const AGAIN_MS = 2000;
/** Of all that were ever told; a session meets few. */
const KEPT = 512;

export class Carriers {
  /** By peer id. Those that left are known on: bytes of theirs may still be told. */
  readonly known = new Map<string, Carrier>();
  #dropped = new Set<string>();
  #stopped = new AbortController();
  #address: string;
  #ondropped: (peers: string[]) => void;

  constructor(address: string, ondropped: (peers: string[]) => void) {
    this.#address = address;
    this.#ondropped = ondropped;
  }

  dropped(peer: string): boolean {
    return this.#dropped.has(peer);
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Hears of them until it is stopped. */
  async listen(): Promise<void> {
    const { signal } = this.#stopped;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const answer = await fetch(this.#address, { headers: { accept: 'text/event-stream' }, cache: 'no-store', signal });
        if (answer.ok && answer.body) {
          await readEvents(answer.body, (event) => {
            failures = 0;
            this.take(event);
          });
        }
      } catch {
        // the server is away: who is known stays known
      }
      await new Promise((resolve) => setTimeout(resolve, pause(AGAIN_MS, Math.min(failures, 8), Math.random())));
    }
  }

  take({ event, data }: ServerEvent): void {
    if (event !== 'peers') return;
    let told: Partial<Told>;
    try {
      told = JSON.parse(data) as Partial<Told>;
    } catch {
      return;
    }
    for (const { peer_id, node, name } of told.nodes ?? []) {
      this.known.delete(peer_id);
      this.known.set(peer_id, { node, name });
    }
    for (const old of this.known.keys()) {
      if (this.known.size <= KEPT) break;
      this.known.delete(old);
    }
    this.#dropped = new Set(told.dropped ?? []);
    if (this.#dropped.size > 0) this.#ondropped([...this.#dropped]);
  }
}
