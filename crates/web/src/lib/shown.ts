/** What the watch page shows, from what the API and the player say. */

import type { ApiError, Stream } from './api';

export type Shown = 'loading' | 'playing' | 'reconnecting' | 'offline' | 'ready' | 'error';

/** The player's own view. */
export type Phase = 'idle' | 'loading' | 'playing' | 'stalled' | 'failed';

export function shown(stream: Stream | undefined, problem: ApiError | undefined, phase: Phase): Shown {
  if (!stream) return problem ? 'error' : 'loading';
  if (problem?.kind === 'missing') return 'error';
  if (stream.state === 'ready') return 'ready';
  // What is buffered is played to its end.
  if (stream.state === 'offline') return phase === 'playing' ? 'playing' : 'offline';
  if (phase === 'failed') return 'error';
  if (stream.reconnecting || phase === 'stalled') return 'reconnecting';
  return phase === 'playing' ? 'playing' : 'loading';
}
