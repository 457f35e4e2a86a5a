/** What the watch page shows, from what the API and the player say. */

import type { ApiError } from './api/error';
import type { Stream, StreamState } from './api/types';

export type Shown = 'loading' | 'playing' | 'reconnecting' | 'offline' | 'ready' | 'error';

/** The player's own view. */
export type Phase = 'idle' | 'loading' | 'playing' | 'stalled' | 'failed';

/** Whether pictures come: live, or in a rehearsal that only its owner sees. */
export function onAir(state: StreamState | undefined): boolean {
  return state === 'live' || state === 'testing';
}

export function shown(stream: Pick<Stream, 'state' | 'reconnecting'> | undefined, problem: ApiError | undefined, phase: Phase): Shown {
  if (!stream) return problem ? 'error' : 'loading';
  if (problem?.kind === 'missing') return 'error';
  if (stream.state === 'ready') return 'ready';
  // What is buffered is played to its end.
  if (!onAir(stream.state)) return phase === 'playing' ? 'playing' : 'offline';
  if (phase === 'failed') return 'error';
  if (stream.reconnecting || phase === 'stalled') return 'reconnecting';
  return phase === 'playing' ? 'playing' : 'loading';
}
