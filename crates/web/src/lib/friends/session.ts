/** What the page knows of a session that friends carry. */

import type { ReceiptKey } from './receipt';

export interface CarriedSession {
  session: string;
  token: string;
  swarmId: string;
  trackers: string[];
  stun: string[];
  /** Viewers are not brought together: this page gives nothing to others. */
  friendsOnly: boolean;
  key: ReceiptKey;
  /** Counts how often it was opened: counters begin anew with each. */
  epoch: number;
}
