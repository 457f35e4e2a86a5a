/** A list that comes in pieces. */

import { asApiError, type ApiError } from './api/error';
import type { List } from './api/types';

export class Paged<T extends { id: string }> {
  /** Undefined until the first piece is there. */
  items = $state.raw<T[] | undefined>(undefined);
  problem = $state.raw<ApiError | undefined>(undefined);
  busy = $state(false);
  next = $state.raw<string | undefined>(undefined);

  #ask: (after?: string) => Promise<List<T>>;
  #turn = 0;

  constructor(ask: (after?: string) => Promise<List<T>>) {
    this.#ask = ask;
    void this.reload();
  }

  reload(): Promise<void> {
    return this.#load(undefined);
  }

  more(): Promise<void> {
    return this.#load(this.next);
  }

  replace(item: T): void {
    this.items = this.items?.map((other) => (other.id === item.id ? item : other));
  }

  remove(id: string): void {
    this.items = this.items?.filter((item) => item.id !== id);
  }

  /** Only the answer to the last question counts. */
  async #load(after: string | undefined): Promise<void> {
    const turn = ++this.#turn;
    this.busy = true;
    try {
      const { items, next } = await this.#ask(after);
      if (turn !== this.#turn) return;
      this.items = after === undefined ? items : [...(this.items ?? []), ...items];
      this.next = next ?? undefined;
      this.problem = undefined;
    } catch (error) {
      if (turn === this.#turn) this.problem = asApiError(error);
    } finally {
      if (turn === this.#turn) this.busy = false;
    }
  }
}
