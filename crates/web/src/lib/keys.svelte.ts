/** Stream keys that were just made. The server tells each once; here they live until the page is closed. */

import { session } from './session.svelte';

class FreshKeys {
  #keys = $state.raw<Record<string, string>>({});

  constructor() {
    session.onleave(() => (this.#keys = {}));
  }

  of(streamId: string): string | undefined {
    return this.#keys[streamId];
  }

  note(streamId: string, key: string): void {
    this.#keys = { ...this.#keys, [streamId]: key };
  }
}

export const freshKeys = new FreshKeys();
