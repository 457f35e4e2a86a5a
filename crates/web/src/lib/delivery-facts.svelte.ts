/** Who carries a stream, asked for again and again. What was last stays when nothing comes. */

import { deliveryOf, type DeliveryFacts } from './api/helpers';
import { poll, type Poll } from './poll';

export class DeliveryWatch {
  facts = $state.raw<DeliveryFacts | undefined>(undefined);
  /** The last question had no answer. */
  away = $state(false);
  readonly #polling: Poll;

  constructor(stream: string, everyMs: number, share?: string) {
    this.#polling = poll(
      async (signal) => {
        try {
          this.facts = await deliveryOf(stream, share, signal);
          this.away = false;
        } catch (error) {
          if (signal.aborted) return;
          this.away = true;
          throw error;
        }
      },
      () => everyMs,
    );
  }

  stop(): void {
    this.#polling.stop();
  }
}
