/** What a viewer chose about delay and about who carries the stream; kept on this device. */

import type { Delivery } from './api/types';
import { keep, recall } from './theme';

const DELAY = 'delay';
const FRIENDS = 'friends';

export interface Choice {
  /** Where nothing was chosen, as the streamer set it. */
  delay: Delivery | undefined;
  /** Friends and other viewers may be asked for the stream. */
  friends: boolean;
}

export function recallChoice(): Choice {
  const delay = recall(DELAY);
  return { delay: delay === 'low_latency' || delay === 'friends' ? delay : undefined, friends: recall(FRIENDS) !== 'no' };
}

export function keepChoice({ delay, friends }: Choice): void {
  keep(DELAY, delay);
  keep(FRIENDS, friends ? undefined : 'no');
}

/** How a stream is played. */
export function delivery(stream: { delivery: Delivery }, choice: Choice): Delivery {
  return choice.delay ?? stream.delivery;
}
